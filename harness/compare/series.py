# SPDX-License-Identifier: GPL-2.0-only
"""The figures that are compared: of each variant, block by block. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.compare.effect import Values
from harness.dataset import BUSY, OWN, Dataset, Metrics, observe
from harness.errors import UserError
from harness.model import TOUCHES
from harness.parse import OPTIONAL, ORDER, SCATTERED

RSS = "host_rss_peak_bytes"
METRICS: Metrics = {
    ("phase", "time"): ("duration_s", "busy_s"),
    ("phase", "work"): ("instructions", "busy_instructions"),
    ("touch", "time"): ("ns_per_page",),
    ("touch", "work"): ("instructions",),
    ("host", ""): (RSS,),
    ("meminfo", ""): (),
}
NAMES = (*(name for name in ORDER if name not in OPTIONAL), *OPTIONAL, *TOUCHES, RSS)
"""What can be compared, in the order of a boot; other kernels than ours have fewer."""


@dataclass(frozen=True)
class Subject:
    """A phase, a pass of touch, or QEMU's memory, on a machine by a clock."""

    machine: str
    clock: str
    name: str
    metric: str


@dataclass(frozen=True)
class Series:
    """The figures of one variant in the order of its blocks."""

    blocks: npt.NDArray[np.int64]
    values: Values

    @property
    def median(self) -> float:
        return float(np.median(self.values))

    @property
    def exact(self) -> bool:
        """Whether every repeat has the same figure."""
        return bool((self.values == self.values[0]).all())


def pair(series: Series, base: Series) -> tuple[Values, Values]:
    """The figures of the blocks that both have; those that are not above 0 have no ratio.

    Of a block that booted twice the first boot is taken.
    """
    _, mine, theirs = np.intersect1d(series.blocks, base.blocks, return_indices=True)
    a, b = series.values[mine], base.values[theirs]
    sound = (a > 0) & (b > 0)
    return a[sound], b[sound]


Table = dict[Subject, dict[str, Series]]


def series_of(dataset: Dataset, names: Sequence[str] = ()) -> Table:
    """Every subject with its variants; all subjects, or only those called `names`."""
    seen = _seen(dataset)
    known = set(seen["name"])
    if unknown := [name for name in names if name not in known]:
        raise UserError(
            f"no metric called {unknown[0]!r}",
            where="--metric",
            remedy=f"there are: {', '.join(sorted(known, key=_place))}",
        )
    if names:
        seen = seen[seen["name"].isin(names)]
    memory = dict(dataset.runs[["machine", "memory_bytes"]].drop_duplicates().to_numpy().tolist())
    table: Table = {}
    keys = ["machine", "clock", "name", "metric", "variant"]
    groups = seen.groupby(keys, sort=False, observed=True)
    for key, rows in sorted(groups[["block", "value"]], key=lambda item: _rank(item[0], memory)):
        blocks, values = rows["block"].to_numpy(dtype=int), rows["value"].to_numpy(dtype=float)
        order = np.argsort(blocks, kind="stable")
        table.setdefault(Subject(*map(str, key[:4])), {})[str(key[4])] = Series(
            blocks[order], values[order]
        )
    return table


def _seen(dataset: Dataset) -> pd.DataFrame:
    seen = _own(observe(dataset.runs, dataset.phases, dataset.probes, METRICS))
    seen["name"] = seen["name"].where(seen["kind"] != "host", seen["metric"])
    return seen


def _own(seen: pd.DataFrame) -> pd.DataFrame:
    """One figure for each phase: what it takes, by marks where there are any, of the machine.

    Phases that nodes have alone are measured from the first start to the last end.
    """
    phases = seen["kind"] == "phase"
    mine = seen["metric"] == seen["clock"].map(OWN)
    mine = mine.where(~seen["name"].isin(SCATTERED), seen["metric"] == seen["clock"].map(BUSY))
    whole = set(seen["name"][phases & (seen["node"] == "")])
    span = (seen["node"] == "span") & ~seen["name"].isin(whole)
    marked = set(seen["name"][phases & (seen["source"] == "mark")])
    printed = (seen["source"] == "printk") & ~seen["name"].isin(marked)
    own = mine & ((seen["node"] == "") | span) & ((seen["source"] == "mark") | printed)
    return seen[~phases | own].copy()


def _place(name: str) -> tuple[int, str]:
    return NAMES.index(name) if name in NAMES else len(NAMES), name


def _rank(key: tuple[object, ...], memory: dict[str, int]) -> tuple[object, ...]:
    machine, clock, name, metric, variant = map(str, key)
    size = memory.get(machine)
    return clock, 0 if pd.isna(size) else size, machine, _place(name), metric, variant
