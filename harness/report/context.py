# SPDX-License-Identifier: GPL-2.0-only
"""A dataset with what all of its figures need: names, places in the legend, exemplars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.dataset import UNITS, Cell, Dataset, Sources, Summary, cells_of
from harness.model import GOOD
from harness.report.charts import Measure
from harness.report.palette import Who, marks_of
from harness.text import clean


@dataclass(frozen=True)
class Exemplar:
    """A boot of a cell: the good one in the middle by what its boot took, else the first.

    `intervals` are the phases of the whole machine by marks or by a profile, in the unit of the
    clock; `hosted` the same on the host's clock, where it is known.
    """

    run_id: str
    evidence: str
    good: bool
    intervals: dict[str, tuple[float, float]]
    hosted: dict[str, tuple[float, float]]


def exemplars(dataset: Dataset, told: Sources) -> dict[Cell, Exemplar]:
    """Cell to its exemplar; a warm-up only where there is nothing else."""
    phases = _told(dataset, told)
    took = _took(phases)
    ranked: dict[Cell, list[tuple[bool, bool, float, str, str]]] = {}
    for row in dataset.runs[[*_CELL, "run_id", "evidence", "warmup", "outcome"]].to_dict("records"):
        bad = row["outcome"] not in GOOD
        cell = (str(row["variant"]), str(row["machine"]), str(row["clock"]))
        run_id = str(row["run_id"])
        entry = (bool(row["warmup"]), bad, took.get(run_id, 0.0), run_id, str(row["evidence"]))
        ranked.setdefault(cell, []).append(entry)
    chosen = {cell: _middle(entries) for cell, entries in ranked.items()}
    spans = _spans(phases, {entry[3] for entry in chosen.values()})
    return {
        cell: Exemplar(run_id, evidence, not bad, *spans.get(run_id, ({}, {})))
        for cell, (_, bad, _, run_id, evidence) in chosen.items()
    }


_CELL = ["variant", "machine", "clock"]


def _middle(
    entries: list[tuple[bool, bool, float, str, str]],
) -> tuple[bool, bool, float, str, str]:
    ordered = sorted(entries)
    best = [entry for entry in ordered if entry[:2] == ordered[0][:2]]
    return best[(len(best) - 1) // 2]


def _told(dataset: Dataset, told: Sources) -> pd.DataFrame:
    """The phases by the source that tells them, but for those that printk does."""
    phases = dataset.phases
    rows = phases[["clock", "phase", "source"]].astype(str).itertuples(index=False, name=None)
    mine = [s != "printk" and told.get((clock, name), "mark") == s for clock, name, s in rows]
    return phases[np.array(mine, dtype=bool)]


def _took(phases: pd.DataFrame) -> dict[str, float]:
    """Run to what its boot took."""
    boots = phases[phases["phase"] == "boot"]
    found: dict[str, float] = {}
    for metric in UNITS.values():
        known = boots[boots[metric].notna()]
        found |= dict(zip(known["run_id"].tolist(), known[metric].astype(float), strict=True))
    return found


Spans = dict[str, tuple[float, float]]


def _spans(phases: pd.DataFrame, wanted: set[str]) -> dict[str, tuple[Spans, Spans]]:
    mine = phases[phases["node"].isna() & phases["run_id"].isin(wanted)]
    found: dict[str, tuple[Spans, Spans]] = {}
    for clock, unit in (("time", "s"), ("work", "instructions")):
        own = mine[mine["clock"] == clock]
        columns = [f"start_{unit}", f"end_{unit}", "host_start_s", "host_end_s"]
        rows = own[["run_id", "phase", *columns]].astype(object).to_numpy().tolist()
        for run_id, phase, start, end, host_start, host_end in rows:
            spans = found.setdefault(str(run_id), ({}, {}))
            for into, pair in zip(spans, ((start, end), (host_start, host_end)), strict=True):
                if all(isinstance(value, int | float) for value in pair):
                    into.setdefault(str(phase), (float(pair[0]), float(pair[1])))
    return found


EMULATED = "seconds under emulation (TCG), which are not seconds of hardware"
COUNTED = "guest instructions, which are a count and no time"


@dataclass(frozen=True)
class Context:
    """A dataset with what its figures need."""

    dataset: Dataset
    figures: Summary
    who: Mapping[str, Who]
    chosen: Mapping[Cell, Exemplar]

    @classmethod
    def of(cls, dataset: Dataset) -> Context:
        figures = Summary.of(dataset.summary)
        names = variants(dataset)
        marks = marks_of(names)
        who = {v: Who(clean(figures.label(v)), n, marks[v]) for n, v in enumerate(names)}
        return cls(dataset, figures, who, exemplars(dataset, figures.sources))

    def groups(self) -> Iterator[tuple[str, str, list[Cell]]]:
        """Clock, machine and their cells; machines by memory."""
        cells = cells_of(self.dataset)
        for clock, machine in dict.fromkeys((c[2], c[1]) for c in cells):
            yield clock, machine, [c for c in cells if c[1:] == (machine, clock)]

    def unit(self, clock: str) -> str:
        """What the numbers of a clock are, in words to stand near them."""
        if clock == "work":
            return COUNTED
        return EMULATED if self._emulated else "seconds"

    def measure(self, metric: str, clock: str) -> Measure:
        """What the axis of a chart has."""
        if clock == "work":
            return Measure(metric, "work clock")
        return Measure(metric, "TCG time" if self._emulated else "time")

    @property
    def _emulated(self) -> bool:
        return "tcg" in set(self.dataset.runs["accel"].dropna())


def variants(dataset: Dataset) -> list[str]:
    """Every variant that has a boot, in the order of the experiment."""
    lock = dataset.lock
    named = list(lock.experiment.variants) if lock else []
    there = dict.fromkeys(cell[0] for cell in cells_of(dataset))
    return [v for v in named if v in there] + [v for v in there if v not in named]
