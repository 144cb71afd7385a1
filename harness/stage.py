# SPDX-License-Identifier: GPL-2.0-only
"""A dataset with what all of its figures need: names, places in the legend, exemplars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.dataset import Dataset
from harness.exemplars import Exemplar, exemplars
from harness.figures import Cell, Figures, cells_of
from harness.plots import Who

EMULATED = "seconds under emulation (TCG), which are not seconds of hardware"
COUNTED = "guest instructions, which are a count and no time"


@dataclass(frozen=True)
class Stage:
    """A dataset with what its figures need."""

    dataset: Dataset
    figures: Figures
    who: Mapping[str, Who]
    chosen: Mapping[Cell, Exemplar]

    @classmethod
    def of(cls, dataset: Dataset) -> Stage:
        figures = Figures.of(dataset.summary)
        who = {v: Who(figures.label(v), n) for n, v in enumerate(variants(dataset))}
        return cls(dataset, figures, who, exemplars(dataset))

    def groups(self) -> Iterator[tuple[str, str, list[Cell]]]:
        """Clock, machine and their cells; machines by memory."""
        cells = cells_of(self.dataset)
        for clock, machine in dict.fromkeys((c[2], c[1]) for c in cells):
            yield clock, machine, [c for c in cells if c[1:] == (machine, clock)]

    def unit(self, clock: str) -> str:
        """What the numbers of a clock are, in words to stand near them."""
        if clock == "work":
            return COUNTED
        emulated = "tcg" in set(self.dataset.runs["accel"].dropna())
        return EMULATED if emulated else "seconds"


def variants(dataset: Dataset) -> list[str]:
    """Every variant that has a boot, in the order of the experiment."""
    lock = dataset.lock
    named = list(lock.experiment.variants) if lock else []
    there = dict.fromkeys(cell[0] for cell in cells_of(dataset))
    return [v for v in named if v in there] + [v for v in there if v not in named]
