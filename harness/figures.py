# SPDX-License-Identifier: GPL-2.0-only
"""The figures of a summary, found by subject and written for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from harness.dataset import Dataset
from harness.observations import OWN, own
from harness.quantity import format_size
from harness.standing import MARKS, MEANING

CLOCKS = {"time": "Time clock", "work": "Work clock"}
UNITS = OWN

Cell = tuple[str, str, str]
"""Variant, machine and clock."""


@dataclass(frozen=True)
class Figures:
    """The summary, by subject: the row of a variant, machine, clock and metric, or none."""

    rows: dict[tuple[str, ...], dict[str, Any]] = field(repr=False)
    marks: dict[str, str] = field(default_factory=dict)
    """Variant to what stands behind its name, where no green gate stands behind its numbers."""

    @classmethod
    def of(cls, summary: pd.DataFrame) -> Figures:
        keys = ("variant", "machine", "clock", "kind", "name", "node", "source", "metric")
        records = summary.astype(object).where(summary.notna(), None).to_dict("records")
        found: dict[tuple[str, ...], dict[str, Any]] = {}
        for record in records:
            row = {str(key): value for key, value in record.items()}
            found[tuple(str(row[key] or "") for key in keys)] = row
        marks = {str(row["variant"]): MARKS[row.get("gate") or "none"] for row in found.values()}
        return cls(found, marks)

    def label(self, variant: str) -> str:
        """The name of a variant, marked where its numbers do not count yet."""
        return variant + self.marks.get(variant, "")

    def caveats(self) -> list[str]:
        """What the marks mean, for those that are in use."""
        return [MEANING[s] for s in MEANING if MARKS[s] in self.marks.values()]

    def phase(self, cell: Cell, name: str, node: str = "") -> dict[str, Any] | None:
        metric = own(name, cell[2])
        for source in ("mark", "printk"):
            if row := self.rows.get((*cell, "phase", name, node, source, metric)):
                return row
        return None

    def get(self, cell: Cell, *subject: str) -> dict[str, Any] | None:
        """`subject`: kind, name, node, source, metric."""
        return self.rows.get((*cell, *subject))


def amount(value: float | None, metric: str) -> str:
    """A figure with its unit, to three or four digits; a dash where nothing was observed."""
    if value is None:
        return "-"
    if metric.endswith("_bytes"):
        return ("-" if value < 0 else "") + format_size(abs(int(value)))
    if metric.endswith("_s"):
        for limit, scale, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
            if abs(value) < limit:
                return f"{value * scale:.3g} {unit}"
        return f"{value:.2f} s" if abs(value) < 100 else f"{value:.0f} s"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e3 if unit == "k" else limit)
            return f"{scaled:.4g} {unit}" if scaled < 10000 else f"{scaled:,.0f} {unit}"
    return f"{value:.4g} ns" if metric.startswith("ns_") else f"{value:.4g}"


def cells_of(dataset: Dataset) -> list[Cell]:
    """(variant, machine, clock) in the order of the experiment, machines by their memory."""
    runs = dataset.runs
    there = {tuple(map(str, k)) for k in runs[["variant", "machine", "clock"]].to_numpy().tolist()}
    lock = dataset.lock
    variants = list(lock.experiment.variants) if lock else []
    memory = {n: m.memory for n, m in lock.machines.items()} if lock else {}

    def order(cell: tuple[str, ...]) -> tuple[Any, ...]:
        place = variants.index(cell[0]) if cell[0] in variants else len(variants)
        return cell[2], memory.get(cell[1], 0), cell[1], place, cell[0]

    return [(c[0], c[1], c[2]) for c in sorted(there, key=order)]


def spread(row: dict[str, Any] | None, metric: str) -> str:
    """Median with smallest and largest, where there is more than one boot."""
    if not row or row.get("median") is None:
        return "-"
    text = amount(row["median"], metric)
    if (row["n"] or 0) > 1 and row["min"] != row["max"]:
        text += f" [{amount(row['min'], metric)}, {amount(row['max'], metric)}]"
    return text


def machine_title(dataset: Dataset, machine: str) -> str:
    """A machine with its size, nodes and CPUs, as far as they are known."""
    about = dataset.runs[dataset.runs["machine"] == machine].iloc[0]
    if about[["memory_bytes", "nodes", "cpus"]].isna().any():
        return machine
    size = format_size(int(about["memory_bytes"]))
    return f"{machine} ({size}, {about['nodes']} nodes, {about['cpus']} CPUs)"
