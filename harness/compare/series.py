# SPDX-License-Identifier: GPL-2.0-only
"""The figures that are compared: of each variant, block by block. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.compare.effect import Values
from harness.dataset import BUSY, OWN, SOURCES, Dataset, Metrics, Sources, observations, sources
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
    source: str = ""
    """`profile` or `printk` where not marks tell a phase"""

    @property
    def title(self) -> str:
        """The name, with what tells it where that are no marks."""
        return f"{self.name} ({self.source})" if self.source else self.name


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


class Sides(NamedTuple):
    """The figures of a dataset and of the one that it is held against, told by the same sources."""

    mine: Table
    theirs: Table
    strangers: tuple[tuple[str, str, str], ...]
    """variant, clock and what another source alone tells of it, so that it has no figure"""


def series_of(dataset: Dataset, names: Sequence[str] = ()) -> Table:
    """Every subject with its variants; all subjects, or only those called `names`.

    Raises `UserError` for a name that is not there.
    """
    figures = _figures(dataset)
    return _table(dataset, _own(figures, sources(_told(figures))), names)


def sides_of(dataset: Dataset, against: Dataset | None, names: Sequence[str] = ()) -> Sides:
    """The series of both; without another dataset one side is the other. Raises as `series_of`.

    `names` choose those of `dataset` alone. A phase is told by one source in both.
    """
    figures = _figures(dataset)
    others = figures if against is None else _figures(against)
    parts = [list(_told(each)) for each in ((figures,) if against is None else (figures, others))]
    told = sources(*parts)
    mine = _table(dataset, _own(figures, told), names)
    theirs = mine if against is None else _table(against, _own(others, told))
    return Sides(mine, theirs, tuple(_strangers(parts, told)))


def _table(dataset: Dataset, found: dict[_Key, Series], names: Sequence[str] = ()) -> Table:
    known = {key.subject.name for key in found}
    if unknown := [name for name in names if name not in known]:
        raise UserError(
            f"no metric called {unknown[0]!r}",
            where="--metric",
            remedy=f"there are: {', '.join(sorted(known, key=_place))}",
        )
    memory = dict(dataset.runs[["machine", "memory_bytes"]].drop_duplicates().to_numpy().tolist())
    table: Table = {}
    for key in sorted(found, key=lambda key: _rank(key, memory)):
        if not names or key.subject.name in names:
            table.setdefault(key.subject, {})[key.variant] = found[key]
    return table


def _strangers(
    parts: Sequence[Sequence[tuple[str, str, str, str, str]]], told: Sources
) -> Iterator[tuple[str, str, str]]:
    for part in parts:
        known: dict[tuple[str, str], dict[str, set[str]]] = {}
        for variant, _, clock, name, source in part:
            if source in SOURCES:
                known.setdefault((variant, clock), {}).setdefault(name, set()).add(source)
        for (variant, clock), names in known.items():
            lacks = [name for name, found in names.items() if told[clock, name] not in found]
            if lacks:
                by = sorted({source for name in lacks for source in names[name]})
                other = sorted({told[clock, name] for name in lacks})
                phrase = f"{', '.join(sorted(lacks, key=_place))}: told by {', '.join(by)} alone"
                yield variant, clock, f"{phrase}, of others by {', '.join(other)}: not compared"


class _Key(NamedTuple):
    """What a series is of, and where it was read."""

    subject: Subject
    variant: str
    kind: str
    node: str
    source: str


def _figures(dataset: Dataset) -> dict[_Key, Series]:
    """Every series that there is; those of one phase may be told by several sources."""
    keys = ["machine", "clock", "name", "metric", "variant", "kind", "node", "source"]
    found: dict[_Key, Series] = {}
    for part in observations(dataset.runs, dataset.phases, dataset.probes, METRICS):
        groups = part.groupby(keys, sort=False, observed=True)[["block", "value"]]
        for key, rows in groups:
            machine, clock, name, metric, variant, kind, node, source = map(str, key)
            subject = Subject(machine, clock, metric if kind == "host" else name, metric)
            blocks, values = rows["block"].to_numpy(dtype=int), rows["value"].to_numpy(dtype=float)
            order = np.argsort(blocks, kind="stable")
            series = Series(blocks[order], values[order])
            found[_Key(subject, variant, kind, node, source)] = series
    return found


def _told(figures: Iterable[_Key]) -> Iterator[tuple[str, str, str, str, str]]:
    """Variant, machine, clock, phase and source of each figure of a phase."""
    for subject, variant, kind, _, source in figures:
        if kind == "phase":
            yield variant, subject.machine, subject.clock, subject.name, source


def _own(found: dict[_Key, Series], told: Sources) -> dict[_Key, Series]:
    """One figure for each phase: what it takes, by the source that tells it, of the machine.

    Phases that nodes have alone are measured from the first start to the last end.
    """

    def by(key: _Key) -> bool:
        return told.get((key.subject.clock, key.subject.name)) == key.source

    phases = [key for key in found if key.kind == "phase" and by(key)]
    whole = {key.subject.name for key in phases if not key.node}

    def mine(key: _Key) -> bool:
        name, clock = key.subject.name, key.subject.clock
        own = key.subject.metric == (BUSY if name in SCATTERED else OWN).get(clock)
        return own and (not key.node or (key.node == "span" and name not in whole))

    figures = {key: series for key, series in found.items() if key.kind != "phase"}
    for key in filter(mine, phases):
        source = "" if key.source == SOURCES[0] else key.source
        subject = replace(key.subject, source=source)
        figures[key._replace(subject=subject)] = found[key]
    return figures


def _place(name: str) -> tuple[int, str]:
    return NAMES.index(name) if name in NAMES else len(NAMES), name


def _rank(key: _Key, memory: dict[str, int]) -> tuple[object, ...]:
    machine, clock, name, metric, source = astuple(key.subject)
    size = memory.get(machine)
    return (clock, 0 if pd.isna(size) else size, machine, _place(name), metric, source, key.variant)
