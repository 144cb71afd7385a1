# SPDX-License-Identifier: GPL-2.0-only
"""What a report is made of, as plain data: sections, tables, figures."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Sheet:
    """A table with its title; the first `left` columns are words."""

    title: str
    head: list[str]
    rows: list[list[str]]
    left: int = 3
    notes: tuple[str, ...] = ()


Rows = list[list[str]]


@dataclass(frozen=True)
class Table:
    """A table; the first `left` columns are words, the others figures.

    A column called variant says whose a row is; a variant's name at the head, whose a column is.
    What is `folded` is there for those who open it.
    """

    head: list[str]
    rows: Rows
    caption: str = ""
    left: int = 1
    folded: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing, and what it shows in which unit."""

    caption: str
    svg: Markup
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading with what belongs under it.

    `excerpts` are pairs of a title and lines as they are, `parts` the names of the parts in the
    figures.
    """

    title: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    excerpts: tuple[tuple[str, str], ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.notes or self.tables or self.figures or self.excerpts)
