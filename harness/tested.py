# SPDX-License-Identifier: GPL-2.0-only
"""The report's section of what `harness compare` finds, for the phases of the headline."""

from __future__ import annotations

from collections.abc import Iterator

from harness.compare import Options, compare
from harness.dataset import Dataset
from harness.letter import sheets
from harness.sections import HEADLINE, Section, Table
from harness.series import NAMES, RSS, names_of

NOTE = (
    "Each variant against the baseline, block by block. A verdict needs six blocks, p below 0.05"
    " after Benjamini and Hochberg over the tests of its table, and a 95 % interval beyond the"
    " smallest effect of interest: 2 % and 5 ms, of memory 2 % and 16 MiB. Counts of the work clock"
    " are exact and stand with the phases. `harness compare` has every phase, and says what an open"
    " question needs."
)


def verdict_sections(dataset: Dataset) -> Iterator[Section]:
    """Verdicts, growth, and what is suspect; none where there is nothing to compare."""
    if dataset.lock is None or not dataset.gate.empty or len(set(dataset.runs["variant"])) < 2:
        return
    if dataset.lock.experiment.baseline not in set(dataset.runs["variant"]):
        return
    known = names_of(dataset)
    metrics = tuple(name for name in NAMES if name in {*HEADLINE, RSS} & known)
    if not metrics:
        return
    tables, notes = [], [NOTE]
    for sheet in sheets(compare(dataset, Options(metrics=metrics))):
        if sheet.title.startswith("work clock"):
            continue
        notes += [f"{sheet.title}: {note}." for note in sheet.notes]
        if sheet.rows:
            tables.append(Table(sheet.head, sheet.rows, sheet.title, left=sheet.left))
    yield Section("Verdicts", tuple(notes), tuple(tables))
