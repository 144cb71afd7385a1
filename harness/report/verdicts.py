# SPDX-License-Identifier: GPL-2.0-only
"""The report's sections on the comparison with the baseline: verdicts, and growth with memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from harness.compare import RSS, CompareOptions, Comparison, Tested, compare_variants
from harness.dataset import Dataset, Summary, machine_title
from harness.errors import UserError
from harness.model import TOUCHES
from harness.report import charts, text
from harness.report.context import Context
from harness.report.document import Figure, Section, Table
from harness.report.sections import HEADLINE
from harness.report.text import interval, percent, verdict, verdict_tables, warning_tables

HEAD = frozenset({*HEADLINE, *TOUCHES, RSS})
"""What is shown at once; the rest is in tables that a reader opens."""

UNTOLD = ("inconclusive", "identical", "within the floor", "not told apart")
"""How verdicts begin that say nothing of a difference."""

LONG = 40
"""Rows above which a table would stand between a reader and the figures: it is folded too."""

_NOTES = (
    "Change: centre of the log-ratios of boots of the same block, with its 95 % bootstrap interval,"
    " or from under six blocks their range; p adjusted by Benjamini and Hochberg over all tests of"
    " a family, shown or not. faster and slower need six blocks, p below 0.05 and an interval"
    " beyond 2 % and 5 ms; equivalent, an interval within 2 %; what is within 5 ms alone is too"
    " small to matter here. Memory hardly varies: less and more are ranges apart by more than boots"
    " of one kernel differ by, and beyond 2 % and 16MiB.",
)


def compared(dataset: Dataset) -> Comparison | None:
    """The comparison with the baseline; none where there is nothing that one would compare."""
    lock = dataset.lock
    if lock is None or lock.experiment.gated or lock.experiment.search or dataset.runs.empty:
        return None
    try:
        return compare_variants(dataset, CompareOptions())
    except UserError:
        return None


def verdicts(context: Context, found: Comparison | None, more: Iterable[Table] = ()) -> Section:
    """Effects, intervals and words; what is not of the headline is folded."""
    if found is None:
        return Section("Verdicts")
    said = (*verdict_tables(found), *warning_tables(found), *more)
    tables = [shown for table in said for shown in _shown(table, context.figures)]
    figures = tuple(_intervals(context, found))
    if not tables:
        return Section("Verdicts", figures=figures)
    told = f"Everything against {found.baseline}; what is inconclusive is folded."
    return Section("Verdicts", (told,), tuple(tables), figures, more=_NOTES)


def _shown(table: Table, figures: Summary) -> Iterator[Table]:
    """The rows of the headline that have a verdict, and all where that is not the same.

    Variants have the mark of those whose numbers do not count.
    """
    every = table.told("variant", figures.label)
    short = every.where("metric", lambda metric: metric.partition(" ")[0] in HEAD)
    short = short.where("verdict", lambda word: not word.startswith(UNTOLD))
    if short.rows:
        yield replace(short, folded=len(short.rows) > LONG)
    if len(short.rows) < len(every.rows):
        yield replace(every, title=f"All: {every.title}", folded=True)


def _intervals(context: Context, found: Comparison) -> Iterator[Figure]:
    """One figure a machine: the headline's changes on the time clock and in memory."""
    tests = [t for f in found.families for t in f.tests if t.subject.clock == "time"]
    tests = [t for t in tests if t.subject.name in HEAD and t.variant in context.who]
    machines = dict.fromkeys(t.subject.machine for t in tests)
    for machine in machines:
        mine = [t for t in tests if t.subject.machine == machine]
        names = list(dict.fromkeys(t.subject.name for t in mine))
        mine.sort(key=lambda t: (names.index(t.subject.name), context.who[t.variant].place))
        where = machine_title(context.dataset, machine)
        title = f"{where}: ratio to the baseline, with its interval or range"
        caption = f"{title}; {context.unit('time')}; left of the thick line is less"
        table = pd.DataFrame([_change(context, tested) for tested in mine])
        yield Figure(
            caption, charts.changes(table, list(context.who.values()), found.baseline or "")
        )


def _change(context: Context, tested: Tested) -> dict[str, Any]:
    effect = tested.effect
    ends = {"low": effect.low, "high": effect.high}
    return {
        "variant": context.who[tested.variant].name,
        "of": "peak RSS of QEMU" if tested.subject.name == RSS else tested.subject.name,
        "ratio": math.exp(effect.estimate),
        **{name: None if end is None else math.exp(end) for name, end in ends.items()},
        "word": tested.verdict.word,
        "said": f"{percent(effect.estimate)} ({interval(tested)}), n = {effect.n}:"
        f" {verdict(tested)}",
    }


def growth_tables(context: Context, found: Comparison | None) -> Iterator[Table]:
    """The lines of the growth figures in numbers."""
    if found is None:
        return
    memory = context.dataset.runs["memory_bytes"].dropna()
    for table in text.growth_tables(found.growth, int(memory.max()) if len(memory) else None):
        yield from _shown(table, context.figures)
