# SPDX-License-Identifier: GPL-2.0-only
"""What a page of memory costs from one kernel version to the next: figures, picture and table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from harness.dataset import Dataset
from harness.model import base_of, definition
from harness.report import charts
from harness.report.document import Table
from harness.report.palette import MARKS, Mark, Who
from harness.report.vega import Spec

PAGE = 4096
INITIALISING = ("memmap_init", "memblock_free_all", "page_alloc_init_late")
"""What initialises memory, eager or deferred: phases that do not overlap."""
ALL = "all three"
LINES = {
    ("mainline-eager", "memmap_init"): Who("eager: memmap_init", 0, MARKS["eager"]),
    ("mainline-eager", "memblock_free_all"): Who("eager: memblock_free_all", 1, Mark(4, 4)),
    ("mainline-deferred", ALL): Who("deferred: all three", 2, MARKS["deferred"]),
}
"""What the picture shows, by variant and phase."""


class PageCost(NamedTuple):
    """Instructions that one more page costs a phase, on a base."""

    base: str
    variant: str
    source: str
    phase: str
    instructions: float


def page_costs(dataset: Dataset) -> Iterator[PageCost]:
    """Of each variant on each base, by each source: what the largest machine takes more than the
    smallest, over the pages that it has more."""
    mine = _initialising(dataset)
    memory = dataset.runs[["machine", "memory_bytes"]].dropna().drop_duplicates()
    sizes = {str(name): int(size) for name, size in memory.to_numpy().tolist()}
    small, large = (
        min(sizes, key=lambda name: sizes[name]),
        max(sizes, key=lambda name: sizes[name]),
    )
    pages = (sizes[large] - sizes[small]) / PAGE
    for (variant, source), rows in mine.groupby(["variant", "source"], sort=False):
        took = rows.pivot_table("instructions", "phase", "machine", aggfunc="median")
        more = (took[large] - took[small]) / pages
        base, name = base_of(str(variant)) or "", definition(str(variant))
        for phase in INITIALISING:
            yield PageCost(base, name, str(source), phase, float(more[phase]))
        yield PageCost(base, name, str(source), ALL, float(more[list(INITIALISING)].sum()))


def _initialising(dataset: Dataset) -> pd.DataFrame:
    phases = dataset.phases[dataset.phases["node"].isna() & (dataset.phases["clock"] == "work")]
    return phases[phases["phase"].isin(INITIALISING) & phases["source"].isin(["mark", "profile"])]


def versions_picture(dataset: Dataset) -> Spec:
    """Instructions a page by the version of the kernel, by the profile alone."""
    shown = [
        {"variant": LINES[cost.variant, cost.phase].name, "base": cost.base, "value": value}
        for cost in page_costs(dataset)
        if cost.source == "profile" and (cost.variant, cost.phase) in LINES
        for value in [round(cost.instructions, 3)]
    ]
    measure = charts.Measure("instructions_per_page", "work clock")
    return charts.by_version(pd.DataFrame(shown), list(LINES.values()), measure)


def versions_table(dataset: Dataset) -> Table:
    """A row for each base and kernel: what one more page costs each phase, and by which source."""
    costs: dict[tuple[str, str, str], dict[str, float]] = {}
    for cost in page_costs(dataset):
        costs.setdefault((cost.base, cost.variant, cost.source), {})[cost.phase] = cost.instructions
    rows = [
        [*key, *(f"{found[phase]:.2f}" for phase in (*INITIALISING, ALL))]
        for key, found in sorted(costs.items(), key=lambda item: _order(*item[0]))
    ]
    runs = dataset.runs
    built = runs[["base_version", "toolchain", "qemu_version"]].dropna().drop_duplicates()
    compilers = sorted({str(text).partition(";")[0] for text in built["toolchain"]})
    cells = _initialising(dataset).groupby(["variant", "machine", "phase", "source"])
    figures = cells["instructions"].agg(["size", "max", "min"])
    apart = int((figures["max"] - figures["min"]).max())
    parts = (
        f"Linux {', '.join(dict.fromkeys(built['base_version']))}",
        ", ".join(compilers),
        f"QEMU {', '.join(sorted(set(built['qemu_version'])))}",
        f"{figures['size'].min()} boots each, a phase at most {apart} instructions apart",
    )
    head = ["base", "kernel", "told by", *INITIALISING, ALL]
    return Table(head, rows, left=3, notes=("; ".join(parts),))


def _order(base: str, variant: str, source: str) -> tuple[object, ...]:
    numbers = tuple(int(part) for part in base.split(".") if part.isdigit())
    return "mainline" not in variant, "deferred" in variant, numbers, source
