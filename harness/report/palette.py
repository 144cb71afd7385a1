# SPDX-License-Identifier: GPL-2.0-only
"""The colour and the form that stand for a variant, the same in every chart. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

COLOURS = 9
"""Colours of the style sheet, ``--c0`` and on: told apart by those who see red or green badly, on
white and on black."""

FORMS = (
    "M-.87 0A.87 .87 0 1 1 .87 0A.87 .87 0 1 1 -.87 0Z",
    "M-.78-.78H.78V.78H-.78Z",
    "M0-1.1L1.1 0L0 1.1L-1.1 0Z",
    "M0-1L1 .75H-1Z",
    "M0 1L1-.75H-1Z",
    "M-1-.37H-.37V-1H.37V-.37H1V.37H.37V1H-.37V.37H-1Z",
    "M-.9-.5L-.5-.9L0-.4L.5-.9L.9-.5L.4 0L.9 .5L.5 .9L0 .4L-.5 .9L-.9 .5L-.4 0Z",
    "M-1 0L-.5-.87H.5L1 0L.5 .87H-.5Z",
    "M-.87-.87H.87L-.87 .87H.87Z",
    "M-.87-.87L.87 .87V-.87L-.87 .87Z",
)
"""Outlines within one unit of 0: form tells variants apart where colour does not."""


@dataclass(frozen=True)
class Mark:
    """What stands for a variant: the number of a colour and that of a form."""

    colour: int
    form: int

    @property
    def ink(self) -> str:
        """The colour, which the page says."""
        return f"var(--c{self.colour})"

    @property
    def path(self) -> str:
        return FORMS[self.form]


MARKS = {
    "eager": Mark(0, 0),
    "no-deferred": Mark(0, 1),
    "deferred": Mark(1, 1),
    "grow": Mark(2, 2),
    "lazy": Mark(3, 3),
    "on-demand": Mark(4, 4),
    "zero-check": Mark(5, 5),
    "as-mailed": Mark(5, 6),
    "node-memset": Mark(6, 6),
    "node-migrate": Mark(7, 7),
    "hotplug": Mark(8, 8),
    "hotplug-wait": Mark(8, 9),
}
"""The marks of the variants of this project, in every report, picture and dashboard."""

_FURTHER = 5
"""Forms from that of a variant to that of its second arm or its debug build."""


def marks_of(variants: Iterable[str]) -> dict[str, Mark]:
    """A mark for each variant, which its name decides: the same wherever it is shown.

    Those of `MARKS` have theirs. A second arm (``eager@2``) and a debug build (``eager.debug``)
    have the colour of their variant and another form. Any other name has the mark that its SHA-256
    says, of all that are no variant's of `MARKS`; where two names in one report come to the same,
    the later one by the alphabet has the next that is free.
    """
    found: dict[str, Mark] = {}
    for name in sorted(variants):
        found[name] = _first_free(_mark(name), {*found.values(), *_others(name)})
    return found


def _others(name: str) -> set[Mark]:
    return set() if _base(name) in MARKS else set(MARKS.values())


def _base(name: str) -> str:
    return name.partition("@")[0].removesuffix(".debug")


def _mark(name: str) -> Mark:
    if name in MARKS:
        return MARKS[name]
    base = _base(name)
    if base != name:
        mine = _mark(base)
        return Mark(mine.colour, (mine.form + _FURTHER) % len(FORMS))
    number = int.from_bytes(hashlib.sha256(name.encode(errors="replace")).digest()[:8])
    return Mark(number % COLOURS, number // COLOURS % len(FORMS))


def _first_free(mark: Mark, taken: set[Mark]) -> Mark:
    start = mark.colour * len(FORMS) + mark.form
    for number in range(COLOURS * len(FORMS)):
        colour, form = divmod((start + number) % (COLOURS * len(FORMS)), len(FORMS))
        if Mark(colour, form) not in taken:
            return Mark(colour, form)
    return mark


@dataclass(frozen=True)
class Who:
    """A variant in a report: its name for people, its place in the legend, its mark."""

    name: str
    place: int
    mark: Mark = Mark(0, 0)

    @property
    def owner(self) -> str:
        """The class of what belongs to it in the page's tables."""
        return f"v{self.place}"
