# SPDX-License-Identifier: GPL-2.0-only
"""Bencher Metric Format: a benchmark for each phase of a cell, a measure for what it takes.

https://bencher.dev/docs/reference/bencher-metric-format. Times are its measure `latency`, which is
in nanoseconds; `value` is the median of the blocks, the others the smallest and the largest.
"""

from __future__ import annotations

import json

from harness.dataset import Dataset
from harness.export.figures import BOOTS, Figure, boots, figures, in_seconds, memory

LONGEST = 1024
"""Characters of a benchmark's name."""


def export(dataset: Dataset) -> bytes:
    """One object: names of benchmarks to their measures."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for figure in figures(dataset):
        scale = 1e9 * (in_seconds(figure.subject.metric) or 1e-9)
        low, median, high = (v * scale for v in (figure.low, figure.median, figure.high))
        measures = found.setdefault(_name(figure.name, figure.variant, figure.subject.machine), {})
        measures[_measure(figure)] = {"value": median, "lower_value": low, "upper_value": high}
    for cell in boots(dataset):
        measures = found.setdefault(_name(BOOTS, cell.variant, cell.machine), {})
        measures[f"failed-boots-{cell.clock}"] = {"value": float(cell.failed)}
    return (json.dumps(found, indent=1) + "\n").encode()


def _name(*parts: str) -> str:
    return "/".join(parts)[:LONGEST]


def _measure(figure: Figure) -> str:
    """Slugs: `latency` and `instructions` are Bencher's own."""
    if memory(figure.subject.metric):
        return f"host-rss-peak-{figure.subject.clock}"
    timed = in_seconds(figure.subject.metric) is not None
    if figure.subject.metric.endswith("_per_page"):
        return "latency-per-page" if timed else "instructions-per-page"
    return "latency" if timed else "instructions"
