# SPDX-License-Identifier: GPL-2.0-only
"""Figures as SVG text: the same data give the same bytes, with no script and no font inside."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.dataset import Dataset
from harness.figures import CLOCKS, Cell, Figures, cells_of
from harness.quantity import format_size

COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#882255", "#777777", "#332288"),
)
"""The palette of Okabe and Ito, which colour-blind readers can tell apart, and three of Tol's."""

MARKERS = "osD^vPX*<"

STYLE: Any = {
    "svg.hashsalt": "pageinit",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Curve:
    """One variant: points of (memory in bytes, median, smallest, largest)."""

    label: str
    points: tuple[tuple[float, float, float, float], ...]


def against_memory(title: str, unit: str, curves: Sequence[Curve]) -> str:
    """A log-log figure of some quantity against the guest's memory; whiskers are min and max."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        axes = figure.subplots()
        for number, curve in enumerate(curves):
            x, middle, low, high = (list(part) for part in zip(*curve.points, strict=True))
            below = [m - v for m, v in zip(middle, low, strict=True)]
            above = [v - m for m, v in zip(middle, high, strict=True)]
            axes.errorbar(
                x,
                middle,
                yerr=[below, above],
                label=curve.label,
                color=COLOURS[number % len(COLOURS)],
                marker=MARKERS[number % len(MARKERS)],
                markersize=4,
                linewidth=1.3,
                capsize=2,
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        ticks = sorted({point[0] for curve in curves for point in curve.points})
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_size(int(value))))
        axes.xaxis.set_minor_locator(LogLocator(base=2, subs=()))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", rotation=45)
        axes.set_xlabel("guest memory")
        axes.set_ylabel(unit)
        axes.set_title(title, loc="left")
        axes.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
        axes.legend(frameon=False)
        return svg_text(figure)


def memory_plots(
    dataset: Dataset, figures: Figures, phases: Sequence[str]
) -> Iterator[tuple[str, Markup]]:
    """A caption and a figure for each of `phases` and clock, and for QEMU's RSS."""
    memory = {n: m.memory for n, m in dataset.lock.machines.items()} if dataset.lock else {}

    def curves(clock: str, row_of: Callable[[Cell], Any]) -> list[Curve]:
        points: dict[str, list[tuple[float, float, float, float]]] = {}
        for cell in cells_of(dataset):
            row = row_of(cell) if cell[2] == clock else None
            if row and row["median"] and row["min"] and cell[1] in memory:
                entry = (memory[cell[1]], row["median"], row["min"], row["max"])
                points.setdefault(figures.label(cell[0]), []).append(entry)
        return [Curve(name, tuple(p)) for name, p in points.items()]

    wanted = [
        (clock, name, lambda cell, name=name: figures.phase(cell, name))
        for clock in CLOCKS
        for name in phases
    ]
    rss = ("host", "qemu", "", "", "host_rss_peak_bytes")
    wanted.append(("time", "peak RSS of QEMU", lambda cell, name="": figures.get(cell, *rss)))
    for clock, name, row_of in wanted:
        found = curves(clock, row_of)
        if len({point[0] for curve in found for point in curve.points}) < 2:
            continue
        unit = "bytes" if "RSS" in name else "s (emulated)" if clock == "time" else "instructions"
        # matplotlib escapes what it writes, and the names are those of our own files.
        svg = Markup(against_memory(name, unit, found))
        yield f"{name} against guest memory, {CLOCKS[clock].lower()}", svg


def svg_text(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    # Black ink takes the colour of the page, so that the figure can be read on a dark one.
    svg = re.sub(r"(stroke|fill): #000000", r"\1: currentColor", svg)
    svg = svg.replace('stroke="black"', 'stroke="currentColor"')
    return re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
