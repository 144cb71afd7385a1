# SPDX-License-Identifier: GPL-2.0-only
"""What is said to people, as data: a terminal, a cover letter, HTML and Markdown print the same.

What is said is decided where these are made, how it looks where they are printed. All text in them
may be foreign, and is made harmless by whatever prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.text import markdown

Row = Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table; the first `left` columns are words, the others figures.

    A column called variant says whose a row is; a variant's name at the head, whose a column is.
    What is `folded` is there for those who open it.
    """

    head: Row
    rows: Sequence[Row]
    title: str = ""
    left: int = 1
    notes: tuple[str, ...] = ()
    folded: bool = False

    @property
    def caption(self) -> str:
        """Title and notes on one line."""
        return "; ".join(filter(None, (self.title, *self.notes)))

    def where(self, column: str, keep: Callable[[str], bool]) -> Table:
        """The rows that are to be kept by what they have in a column; all where there is none."""
        if column not in self.head:
            return self
        at = self.head.index(column)
        return replace(self, rows=[row for row in self.rows if keep(row[at])])

    def told(self, column: str, tell: Callable[[str], str]) -> Table:
        """The same with other words in a column, if there is one of this name."""
        places = [n for n, name in enumerate(self.head) if name == column]
        rows = [[tell(c) if n in places else c for n, c in enumerate(row)] for row in self.rows]
        return replace(self, rows=rows)

    def markdown(self) -> str:
        """Head and rows in Markdown, figures to the right; title and notes are not in it."""
        head, *rows = ([markdown(cell) for cell in row] for row in (self.head, *self.rows))
        return markdown_table(head, rows, self.left)


def markdown_table(head: Row, rows: Sequence[Row], left: int | None = None) -> str:
    """Cells that are Markdown as a table of it; columns from `left` on are set to the right."""
    words = len(head) if left is None else left
    ruler = ["---" if n < words else "---:" for n in range(len(head))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ruler, *rows))


@dataclass(frozen=True)
class Figure:
    """A chart, as a specification of Vega-Lite, and what it shows in which unit."""

    caption: str
    spec: dict[str, Any]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading with what belongs under it.

    `excerpts` are pairs of a title and lines as they are. `more` are notes for those who open them;
    a section that is `folded` is as a whole.
    """

    title: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    excerpts: tuple[tuple[str, str], ...] = ()
    more: tuple[str, ...] = ()
    folded: bool = False
    leads: bool = False
    """whether its notes are what a reader came for"""

    @property
    def empty(self) -> bool:
        return not (self.notes or self.tables or self.figures or self.excerpts or self.more)
