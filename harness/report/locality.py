# SPDX-License-Identifier: GPL-2.0-only
"""The report's section on who stores where: remote shares as counted, and what they could cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.dataset import Dataset, Summary
from harness.model import GOOD
from harness.parse import AFTER, ORDER
from harness.report.document import Section, Table
from harness.units import amount

RATIOS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Remote to local, from no difference to what large machines are said to have at most."""

THREADS = (1, 4, 16)
"""Threads of a node."""


@dataclass(frozen=True)
class Work:
    """Stores by the CPUs of one node: to its own memory, and to that of other nodes."""

    local: int = 0
    remote: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.local + other.local, self.remote + other.remote)

    @property
    def stores(self) -> int:
        return self.local + self.remote

    def cost(self, ratio: float) -> float:
        """Units of time for one CPU."""
        return self.local + ratio * self.remote


def in_turn(work: Iterable[Work], ratio: float) -> float:
    """Time for one thread that does the work of all nodes, one after the other."""
    return sum(part.cost(ratio) for part in work)


def at_once(work: Iterable[Work], ratio: float, threads: int = 1) -> float:
    """Time where each node has threads of its own: that of the slowest node."""
    return max((part.cost(ratio) for part in work), default=0.0) / threads


BY_NODE = "deferred_init"
"""The phase whose work can be done by threads of every node."""

FEW = 0.02
"""Phases with a smaller share of a variant's stores are left out of the tables."""

COUNTED = (
    "Stores into the memmap, counted one by one in the emulator; in brackets how many of a hundred"
    " go to memory of another node than the CPU's. A phase is without those inside of it. These"
    " are counts: QEMU has no NUMA latency, and nothing here is a time.",
)
ASSUMED = (
    "A model, not a measurement: what the counts above would come to if a store to another node"
    " took so many times one to the own node, and all else nothing. The figure is the baseline's"
    " time over the variant's at the same ratio, until user space.",
    f"One in all: whatever runs, runs alone. So many a node: what {BY_NODE} does is done on all"
    " nodes at once and takes as long as the slowest, the threads of a node share its stores"
    " evenly, and none slows another down. Counts do not tell which of them a kernel does, so"
    f" both are shown where {BY_NODE} has most of the stores.",
)

Boot = dict[str, dict[int, Work]]
"""Phase to node of the CPU to what its CPUs stored."""

Label = Callable[[str], str]
"""A variant to its name in a table."""


def boots(stores: pd.DataFrame, variants: Sequence[str]) -> dict[str, dict[str, Boot]]:
    """Machine to variant to the stores of its first good boot: on this clock all are equal."""
    good = stores[stores["outcome"].isin(GOOD) & ~stores["warmup"] & stores["memory_node"].notna()]
    found: dict[str, dict[str, Boot]] = {}
    for (machine, variant), rows in good.groupby(["machine", "variant"], sort=False):
        boot: Boot = {}
        for row in rows[rows["run_id"] == rows["run_id"].iloc[0]].to_dict("records"):
            cpu_node, count = int(row["cpu_node"]), int(row["stores"])
            near = cpu_node == row["memory_node"]
            phase = boot.setdefault(str(row["phase"]), {})
            work = Work(local=count) if near else Work(remote=count)
            phase[cpu_node] = phase.get(cpu_node, Work()) + work
        found.setdefault(str(machine), {})[str(variant)] = boot
    order = {name: number for number, name in enumerate(variants)}
    return {
        machine: {
            name: mine[name]
            for name in sorted(mine, key=lambda name: order.get(name, len(order)))
            if _total(mine[name]).stores
        }
        for machine, mine in found.items()
    }


def share_table(found: dict[str, Boot], machine: str, label: Label = str) -> Table:
    """Stores of each phase, and how many in a hundred are to the memory of another node."""
    rows = []
    for phase in (*ORDER, AFTER):
        works = [sum(boot.get(phase, {}).values(), Work()) for boot in found.values()]
        totals = [_total(boot) for boot in found.values()]
        if any(w.stores > FEW * t.stores for w, t in zip(works, totals, strict=True)):
            rows.append([phase, *map(_share, works)])
    rows.append(["until user space", *(_share(_total(boot)) for boot in found.values())])
    return Table(["phase", *map(label, found)], rows, machine)


def model_table(found: dict[str, Boot], baseline: str, machine: str, label: Label = str) -> Table:
    """How many times as fast as the baseline, for each ratio and number of threads."""
    rows = []
    for variant, boot in found.items():
        deferred = sum(boot.get(BY_NODE, {}).values(), Work()).stores
        many = THREADS if deferred > _total(boot).stores / 2 else ()
        for threads in (0, *many):
            figures = [f"{gain(found, baseline, variant, r, threads):.2f}" for r in RATIOS]
            rows.append(
                [label(variant), f"{threads} a node" if threads else "one in all", *figures]
            )
    head = ["variant", "threads", *(f"remote {r:g} : 1 local" for r in RATIOS)]
    return Table(head, rows, f"{machine}: model, not measured", left=2)


def gain(
    found: dict[str, Boot], baseline: str, variant: str, ratio: float, threads: int = 0
) -> float:
    """The time of the baseline over that of a variant at the same ratio: a model."""
    return predict(found[baseline], ratio) / predict(found[variant], ratio, threads)


def predict(boot: Boot, ratio: float, threads: int = 0) -> float:
    """Units of time until user space: a model. Without `threads` one after the other."""
    time = 0.0
    for phase, work in boot.items():
        if phase == BY_NODE and threads:
            time += at_once(work.values(), ratio, threads)
        elif phase != AFTER:
            time += in_turn(work.values(), ratio)
    return time


def locality_sections(dataset: Dataset) -> Iterator[Section]:
    """Both tables for each machine; nothing where no stores were counted."""
    experiment = dataset.lock.experiment if dataset.lock else None
    found = boots(dataset.stores, experiment.variants if experiment else ())
    if not found:
        return
    label = Summary.of(dataset.summary).label
    notes = (*COUNTED, *_oddities(dataset.stores))
    shares = [share_table(mine, machine, label) for machine, mine in found.items()]
    yield Section("Locality of the memmap's stores", notes, tuple(shares))
    baseline = experiment.baseline if experiment else ""
    models = [model_table(m, baseline, name, label) for name, m in found.items() if baseline in m]
    yield Section("If remote memory were slower (model)", ASSUMED, tuple(models))


def _oddities(stores: pd.DataFrame) -> Iterator[str]:
    nowhere = int(stores.loc[stores["memory_node"].isna(), "stores"].sum())
    if nowhere:
        yield f"{nowhere} stores went to memory that is known as no node's, and are left out."
    moved = stores["memory_node"].notna() & stores["page_node"].notna()
    moved &= stores["memory_node"] != stores["page_node"]
    if apart := int(stores.loc[moved, "stores"].sum()):
        yield f"{apart} stores went to struct pages that lie on another node than their page."


def _total(boot: Boot) -> Work:
    works = [w for phase, mine in boot.items() if phase != AFTER for w in mine.values()]
    return sum(works, Work())


def _share(work: Work) -> str:
    if not work.stores:
        return "-"
    return f"{amount(work.stores, 'stores')} ({100 * work.remote / work.stores:.1f})"
