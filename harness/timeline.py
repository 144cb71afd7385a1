# SPDX-License-Identifier: GPL-2.0-only
"""A figure night by night as SVG text: variants against their first night, with their steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.plots import COLOURS, MARKERS, STYLE, svg_text


@dataclass(frozen=True)
class Track:
    """One variant: its nights by number, its values, and the nights on which it stepped."""

    label: str
    nights: tuple[int, ...]
    values: tuple[float, ...]
    steps: tuple[int, ...] = ()


def draw(title: str, tracks: Sequence[Track]) -> str:
    """All tracks in per cent of their first value: kernels lie factors of a thousand apart."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        axes = figure.subplots()
        for number, track in enumerate(tracks):
            first = track.values[0] or 1.0
            shares = [100 * (value / first - 1) for value in track.values]
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(
                track.nights,
                shares,
                label=track.label,
                color=colour,
                marker=MARKERS[number % len(MARKERS)],
                markersize=2.5,
                linewidth=1.0,
            )
            at = [track.nights.index(night) for night in track.steps]
            axes.scatter(
                [track.nights[n] for n in at],
                [shares[n] for n in at],
                marker="D",
                s=44,
                facecolors="none",
                edgecolors=colour,
                zorder=3,
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.3g} %"))
        axes.set_xlabel("night; a diamond is a change that was called")
        axes.set_title(title, loc="left")
        axes.grid(visible=True, axis="y", linewidth=0.4, alpha=0.5)
        axes.legend(frameon=False, ncols=4, loc="best")
        return svg_text(figure)
