# SPDX-License-Identifier: GPL-2.0-only
"""What all forms are made of: the figures of each cell, block by block, and how its boots ended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.compare import RSS, Series, Subject, series_of
from harness.dataset import Dataset
from harness.model import GOOD

BOOTS = "boots"
"""The name under which failed boots are counted."""


@dataclass(frozen=True)
class Figure:
    """A phase, a pass of touch or QEMU's memory in one cell: a value for each block that booted.

    `metric` is a column of the dataset, and says the unit.
    """

    variant: str
    subject: Subject
    series: Series

    @property
    def median(self) -> float:
        return self.series.median

    @property
    def low(self) -> float:
        return float(self.series.values.min())

    @property
    def high(self) -> float:
        return float(self.series.values.max())

    @property
    def name(self) -> str:
        """Of the phase; memory is no phase, and its name is that of its column."""
        return self.subject.name


@dataclass(frozen=True)
class Boots:
    """How the boots of one cell ended; warm-ups are none of them."""

    variant: str
    machine: str
    clock: str
    outcomes: dict[str, int]

    @property
    def count(self) -> int:
        return sum(self.outcomes.values())

    @property
    def failed(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if outcome not in GOOD)


def figures(dataset: Dataset) -> Iterator[Figure]:
    """Every figure that is a number, cell by cell in the order of a boot."""
    if not dataset.runs["outcome"].isin(GOOD).any():
        return
    for subject, variants in series_of(dataset).items():
        for variant, series in variants.items():
            if all(math.isfinite(value) for value in series.values):
                yield Figure(variant, subject, series)


def boots(dataset: Dataset) -> Iterator[Boots]:
    """The boots of every cell that had any."""
    runs = dataset.runs[~dataset.runs["warmup"]]
    for key, rows in runs.groupby(["variant", "machine", "clock"], sort=True, observed=True):
        counted = rows["outcome"].value_counts(sort=False).sort_index()
        variant, machine, clock = map(str, key)
        outcomes = {str(name): int(count) for name, count in counted.items()}
        yield Boots(variant, machine, clock, outcomes)


def in_seconds(metric: str) -> float | None:
    """What a value has to be multiplied by to be seconds; none where it is no time."""
    if metric.endswith("_s"):
        return 1.0
    return 1e-9 if metric.startswith("ns_") else None


def memory(metric: str) -> bool:
    """Whether a value is bytes."""
    return metric == RSS
