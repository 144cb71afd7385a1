# SPDX-License-Identifier: GPL-2.0-only
"""The history as a page for people: a section for each phase, with its series and its steps.

HTML and Markdown come from the same data; both templates escape the text of the guest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from markupsafe import Markup

from harness import __version__
from harness.compare import NAMES
from harness.nightly.bisections import Bisection
from harness.nightly.changes import Change, Counts, Line, counts, lines, moved
from harness.nightly.history import Night
from harness.nightly.pairs import unpaired
from harness.nightly.testcases import describe, share
from harness.report import Measure, Painter, Table, Who, asset, marks_of, page, timeline
from harness.results import Damage
from harness.text import one_line
from harness.units import amount

SHOWN = 120
"""Nights that a figure shows."""
LISTED = 40
"""Changes that a section lists, the latest first."""
ORDER = (*NAMES, "boots", "evidence")
CHANGED = ("verdict", "change", "figure", "variant", "machine", "clock", "what")
VALUES = (
    *("variant", "machine", "clock", "metric", "first shown", "night before", "last"),
    "seen last on",
)
CLOCKS = {"work": "work clock: guest instructions, no time", "time": "time clock: seconds here"}
AXES = {"work": "work clock", "time": "time here"}


@dataclass(frozen=True)
class PhasePanel:
    """A phase on both clocks and all machines."""

    name: str
    figures: tuple[tuple[str, Future[Markup]], ...]
    values: Table
    changes: Table


@dataclass(frozen=True)
class Board:
    """All that both forms say."""

    nights: Sequence[Night]
    changes: Sequence[Change]
    damage: Sequence[Damage]
    status: int
    bisections: Sequence[Bisection] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    """what came of the bisections that were made, by command"""
    explained: Sequence[Sequence[str]] = ()
    """variant, machine and which functions its counts changed by"""

    @property
    def counts(self) -> Counts:
        """Of the newest night."""
        return counts(self.night, self.changes)

    @property
    def night(self) -> Night:
        return self.nights[-1]

    @property
    def tonight(self) -> list[Change]:
        """What was sure tonight: the worst first, then the largest."""
        mine = [change for change in self.changes if change.found == self.night.number]
        return sorted(mine, key=lambda c: (RANKS.index(_word(c)), -c.size, c.variant))

    @property
    def telling(self) -> list[Change]:
        """Those of tonight that are of interest."""
        return [change for change in self.tonight if change.matters]


WORDS = ("no regression", "REGRESSED", "the host or the harness was at fault")


EXPLAINED = ("variant", "machine", "instructions against the night before")
RANKS = ("REGRESSION", "fault", "improvement", "change", "below")


def render(board: Board) -> tuple[str, str]:
    """The dashboard as HTML, complete in one file, and the night's summary as Markdown."""
    night = board.night
    previous = board.nights[-2] if len(board.nights) > 1 else None
    context: dict[str, Any] = {
        "night": night,
        "verdict": WORDS[board.status],
        "version": __version__,
        "count": len(board.nights),
        "cells": sorted({(f.variant, f.machine, f.clock) for f in night.figures}),
        "inputs": moved(previous, night) if previous else (),
        "counts": board.counts,
        "changes": changed(board.tonight),
        "telling": changed(board.telling),
        "below": below(board),
        "bisections": culprits(board),
        "explained": Table(EXPLAINED, board.explained, "Which functions", len(EXPLAINED)),
        "damage": [*(f"{d.path}: {d.reason}" for d in board.damage), *night.damage],
        "notes": list(notes(board.nights)),
    }
    with Painter() as painter:
        sections = list(_sections(board, painter))
    context |= {"sections": sections, "words": {word: word for word in RANKS}}
    style = asset("colours.css") + asset("report.css")
    return page("dashboard.html.j2", style=style, **context), page("nightly.md.j2", **context)


def notes(nights: Sequence[Night]) -> Iterator[str]:
    """What is odd about the newest night itself."""
    if len(nights) > 1 and nights[-1].day <= nights[-2].day:
        yield (
            f"the date of this night, {nights[-1].day}, is not after that of the night before,"
            f" {nights[-2].day}: the clock of the host went back, or the night was named by hand"
        )
    if len(nights) == 1:
        yield "the first night: there is nothing to compare it with"
    if names := unpaired(nights):
        yield (
            f"seconds of {', '.join(names)} are not told from the host's: the kernel of the night"
            " before could not be booted beside tonight's"
        )


def below(board: Board) -> str:
    """What the telling changes leave out, in a sentence; empty where they are all."""
    left = len(board.tonight) - len(board.telling)
    if not left:
        return ""
    return f"{left} counts moved by less than is of interest (docs/nightly.md), and are named"


def culprits(board: Board) -> Table:
    """Of each cell that regressed: what changed, what finds the culprit, and what it found."""
    rows = [
        (
            board.answers.get(each.command()) or each.command() or "nothing to bisect",
            *(each.variant, each.machine, each.figure, one_line(each.why) or ""),
        )
        for each in board.bisections
    ]
    head = ("bisection", "variant", "machine", "figure", "changed with it")
    return Table(head, rows, "Where from", len(head))


def changed(found: Sequence[Change]) -> Table:
    """Changes with verdict, place and what they are."""
    return Table(CHANGED, [_row(change) for change in found], left=len(CHANGED))


def _row(change: Change) -> tuple[str, ...]:
    subject = change.subject
    where = (subject.name, change.variant, subject.machine, subject.clock)
    return _word(change), share(change), *where, describe(change, by=False)


def _word(change: Change) -> str:
    if change.regression:
        return "REGRESSION"
    if change.infrastructure:
        return "fault"
    if change.improvement:
        return "improvement"
    return "change" if change.matters else "below"


def _sections(board: Board, painter: Painter) -> Iterator[PhasePanel]:
    shown = board.nights[-SHOWN:]
    known = lines(shown)
    names = {subject.name for subject, _ in known} | {c.subject.name for c in board.changes}
    for name in sorted(names, key=_place):
        mine = {key: points for key, points in known.items() if key[0].name == name}
        changes = [change for change in board.changes if change.subject.name == name]
        yield PhasePanel(
            name,
            tuple(_figures(shown, mine, changes, painter)),
            Table(VALUES, list(_values(shown, mine)), left=len(VALUES)),
            _listed(board, changes[: -LISTED - 1 : -1]),
        )


def _listed(board: Board, changes: Sequence[Change]) -> Table:
    table = changed(changes)
    days = [(str(c.found), str(_day(board.nights, c.found))) for c in changes]
    rows = [[*day, *row] for day, row in zip(days, table.rows, strict=True)]
    return Table(["night", "date", *table.head], rows, left=table.left + 2)


def _place(name: str) -> tuple[int, str]:
    return ORDER.index(name) if name in ORDER else len(ORDER), name


def _day(nights: Sequence[Night], number: int) -> object:
    return next((night.day for night in nights if night.number == number), "")


def _figures(
    nights: Sequence[Night], known: Line, changes: Sequence[Change], painter: Painter
) -> Iterator[tuple[str, Future[Markup]]]:
    """A figure for each machine, clock and metric that has two nights or more."""
    variants = list(dict.fromkeys(variant for _, variant in known))
    marks = marks_of(variants)
    who = [Who(variant, place, marks[variant]) for place, variant in enumerate(variants)]
    called = {(c.subject, c.variant, c.night) for c in changes}
    for subject in dict.fromkeys(subject for subject, _ in known):
        rows = [
            {
                "variant": variant,
                "night": nights[place].number,
                "value": figure.value,
                "called": (subject, variant, nights[place].number) in called,
            }
            for (mine, variant), points in known.items()
            if mine == subject and len(points) > 1
            for place, figure in points
        ]
        if rows:
            title = f"{subject.name} on {subject.machine}"
            caption = f"{title}, {CLOCKS[subject.clock]} ({subject.metric})"
            measure = Measure(subject.metric, AXES[subject.clock])
            spec = timeline(pd.DataFrame(rows), who, measure)
            yield caption, painter.draw(spec, title, titles=True)


def _values(nights: Sequence[Night], known: Line) -> Iterator[tuple[str, ...]]:
    """Of each series: first and last value shown, and the last but one."""
    for (subject, variant), points in known.items():
        values = [figure.value for _, figure in points]
        shown = (values[0], values[-2] if len(values) > 1 else None, values[-1])
        texts = (amount(value, subject.metric, exact=True) for value in shown)
        last = nights[points[-1][0]].day.isoformat()
        yield variant, subject.machine, subject.clock, subject.metric, *texts, last
