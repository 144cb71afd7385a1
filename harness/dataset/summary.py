# SPDX-License-Identifier: GPL-2.0-only
"""Medians and spread per cell, with the ratio to the baseline. Verdicts belong to `compare`.

Warm-ups are left out; only boots that ended ok or in a warning enter the figures, and the others
are counted beside them, so that a cell without any figure still has its row.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.dataset.observations import (
    CELL,
    IDLE,
    OWN,
    SOURCES,
    SUBJECT,
    Sources,
    observations,
    own,
    sources,
)
from harness.dataset.rows import Row
from harness.gate import MARKS, MEANING
from harness.model import GOOD, Lockfile, peer
from harness.parse import WAITING

RESAMPLES = 1000
SEED = 20130814

Values = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]
SummaryValues = dict[tuple[str, ...], Values]


def summarise(
    lock: Lockfile | None, runs: pd.DataFrame, phases: pd.DataFrame, probes: pd.DataFrame
) -> list[Row]:
    """The rows of summary.csv, sorted by cell and subject."""
    if runs.empty:
        return []
    baseline = lock.experiment.baseline if lock else None
    figures = _figures(observations(runs, phases, probes))
    memory = {name: m.memory for name, m in lock.machines.items()} if lock else {}
    rows: list[Row] = []
    for key, boots in runs[~runs["warmup"]].groupby(CELL, sort=True):
        variant, machine, clock = map(str, key)
        failed = int((~boots["outcome"].isin(GOOD)).sum())
        about: Row = {
            **dict(zip(CELL, (variant, machine, clock), strict=True)),
            "memory_bytes": memory.get(machine),
            "runs": len(boots),
            "failed": failed,
        }
        boot_row = {"kind": "boots", "name": "analysed", "metric": "boots"}
        rows.append(about | boot_row | {"n": len(boots) - failed})
        base = figures.get((peer(str(baseline), variant), machine, clock), {})
        for subject, values in figures.get((variant, machine, clock), {}).items():
            named = {k: v or None for k, v in zip(SUBJECT, subject, strict=True)}
            rows.append(about | named | _figure(values) | _ratio(values, base.get(subject)))
    return rows


def _figures(parts: Iterable[pd.DataFrame]) -> dict[tuple[str, ...], SummaryValues]:
    """Cell to subject to its values, sorted, so that the order of the runs cannot matter."""
    cells: dict[tuple[str, ...], SummaryValues] = {}
    keys = [*CELL, *SUBJECT]
    for part in parts:
        for key, group in part.groupby(keys, sort=False, observed=True)["value"]:
            cell, subject = tuple(map(str, key[:3])), tuple(map(str, key[3:]))
            cells.setdefault(cell, {})[subject] = np.sort(group.to_numpy(dtype=float))
    return {cell: dict(sorted(subjects.items())) for cell, subjects in cells.items()}


def _figure(values: Values) -> Row:
    median = _median(values)
    return {
        "n": len(values),
        "median": _tidy(median),
        "min": _tidy(values[0]),
        "max": _tidy(values[-1]),
        "mad": _tidy(_median(np.sort(np.abs(values - median)))),
    }


def _ratio(values: Values, base: Values | None) -> Row:
    """Ratio of medians, and its percentile bootstrap interval where each side has 6 boots.

    Of fewer it would not be one of 95 %.
    """
    if base is None or not _median(base):
        return {}
    found: Row = {"ratio": _tidy(_median(values) / _median(base))}
    if min(len(values), len(base)) < 6:
        return found
    medians = _bootstrap(values, 0), _bootstrap(base, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = np.quantile(medians[0] / medians[1], [0.025, 0.975])
    if np.isfinite([low, high]).all():
        found |= {"ratio_low": _tidy(low), "ratio_high": _tidy(high)}
    return found


def _bootstrap(ordered: Values, side: int) -> Values:
    """Medians of resamples. `ordered` is sorted, so a resample's median is the one of its ranks."""
    low, high = _median_ranks(len(ordered), side)
    return np.asarray((ordered[low] + ordered[high]) / 2)


@functools.cache
def _median_ranks(size: int, side: int) -> tuple[Ranks, Ranks]:
    """The middle ranks of each resample: seeded, and the same for every metric of `size` boots."""
    drawn = np.random.default_rng([SEED, side, size]).integers(0, size, (RESAMPLES, size))
    drawn.sort(axis=1)
    return drawn[:, (size - 1) // 2], drawn[:, size // 2]


def _median(ordered: Values) -> float:
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return float(ordered[middle - 1] + ordered[middle]) / 2


def _tidy(value: float) -> float:
    """Twelve significant digits: beyond them is only the noise of binary fractions."""
    return float(f"{value:.12g}")


CLOCKS = {"time": "Time clock", "work": "Work clock"}
UNITS = OWN

Cell = tuple[str, str, str]
"""Variant, machine and clock."""


@dataclass(frozen=True)
class Summary:
    """The summary, by subject: the row of a variant, machine, clock and metric, or none."""

    rows: dict[tuple[str, ...], dict[str, Any]] = field(repr=False)
    marks: dict[str, str] = field(default_factory=dict)
    """Variant to what stands behind its name, where no green gate stands behind its numbers."""
    sources: Sources = field(default_factory=dict)
    """What tells each phase: the same for all variants and machines."""

    @classmethod
    def of(cls, summary: pd.DataFrame) -> Summary:
        keys = ("variant", "machine", "clock", "kind", "name", "node", "source", "metric")
        records = summary.astype(object).where(summary.notna(), None).to_dict("records")
        found: dict[tuple[str, ...], dict[str, Any]] = {}
        for record in records:
            row = {str(key): value for key, value in record.items()}
            found[tuple(str(row[key] or "") for key in keys)] = row
        marks = {str(row["variant"]): MARKS[row.get("gate") or "none"] for row in found.values()}
        phases = ((v, m, c, name, by) for v, m, c, kind, name, _, by, _ in found if kind == "phase")
        return cls(found, marks, sources(phases))

    def label(self, variant: str) -> str:
        """The name of a variant, marked where its numbers do not count yet."""
        return variant + self.marks.get(variant, "")

    def caveats(self) -> list[str]:
        """What the marks mean, for those that are in use."""
        return [MEANING[s] for s in MEANING if MARKS[s] in self.marks.values()]

    def phase(self, cell: Cell, name: str, node: str = "") -> dict[str, Any] | None:
        """What a phase takes, by the source that is the same for all cells; or none."""
        source = self.sources.get((cell[2], name), SOURCES[0])
        return self.rows.get((*cell, "phase", name, node, source, own(name, cell[2])))

    def elsewhere(self, cell: Cell, name: str) -> tuple[str, dict[str, Any]] | None:
        """What another source tells of a phase that this one does not, and which source."""
        if self.phase(cell, name):
            return None
        metric = own(name, cell[2])
        found = ((each, (*cell, "phase", name, "", each, metric)) for each in SOURCES)
        return next(((each, self.rows[key]) for each, key in found if key in self.rows), None)

    def waits(self, cell: Cell, name: str) -> bool:
        """Whether a phase by the work clock holds waits that were not recorded apart from work."""
        source = self.sources.get((cell[2], name), SOURCES[0])
        told = source == "profile" or any(
            self.rows.get((*cell, "phase", name, node, source, IDLE)) for node in ("", "max")
        )
        return cell[2] == "work" and name in WAITING and not told

    def get(self, cell: Cell, *subject: str) -> dict[str, Any] | None:
        """`subject`: kind, name, node, source, metric."""
        return self.rows.get((*cell, *subject))
