# SPDX-License-Identifier: GPL-2.0-only
"""One boot of each cell that stands for it: where parts have to add up, medians do not."""

from __future__ import annotations

from dataclasses import dataclass

from harness.dataset import Dataset
from harness.figures import UNITS, Cell
from harness.record import GOOD


@dataclass(frozen=True)
class Exemplar:
    """A boot of a cell: the good one in the middle by what its boot took, else the first.

    `intervals` are the phases of the whole machine by marks, in the unit of the clock; `hosted`
    the same on the host's clock, where it is known.
    """

    run_id: str
    evidence: str
    good: bool
    intervals: dict[str, tuple[float, float]]
    hosted: dict[str, tuple[float, float]]


def exemplars(dataset: Dataset) -> dict[Cell, Exemplar]:
    """Cell to its exemplar; a warm-up only where there is nothing else."""
    took = _took(dataset)
    ranked: dict[Cell, list[tuple[bool, bool, float, str, str]]] = {}
    for row in dataset.runs[[*_CELL, "run_id", "evidence", "warmup", "outcome"]].to_dict("records"):
        bad = row["outcome"] not in GOOD
        cell = (str(row["variant"]), str(row["machine"]), str(row["clock"]))
        run_id = str(row["run_id"])
        entry = (bool(row["warmup"]), bad, took.get(run_id, 0.0), run_id, str(row["evidence"]))
        ranked.setdefault(cell, []).append(entry)
    chosen = {cell: _middle(entries) for cell, entries in ranked.items()}
    spans = _spans(dataset, {entry[3] for entry in chosen.values()})
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


def _took(dataset: Dataset) -> dict[str, float]:
    """Run to what its boot took."""
    phases = dataset.phases
    boots = phases[(phases["phase"] == "boot") & (phases["source"] == "mark")]
    found: dict[str, float] = {}
    for metric in UNITS.values():
        known = boots[boots[metric].notna()]
        found |= dict(zip(known["run_id"].tolist(), known[metric].astype(float), strict=True))
    return found


Spans = dict[str, tuple[float, float]]


def _spans(dataset: Dataset, wanted: set[str]) -> dict[str, tuple[Spans, Spans]]:
    phases = dataset.phases
    mine = phases[
        (phases["source"] == "mark") & phases["node"].isna() & phases["run_id"].isin(wanted)
    ]
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
