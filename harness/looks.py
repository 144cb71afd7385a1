# SPDX-License-Identifier: GPL-2.0-only
"""When to stop adding blocks: once the intervals are narrow, looked at on a fixed schedule. Pure.

What is looked at is the width of an interval, never a p: to stop when a test says yes would find
something sooner or later. The looks are few and known beforehand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.dataset import Dataset
from harness.effect import paired
from harness.errors import UserError
from harness.experiment import Experiment, is_arm
from harness.series import pair, series_of

BLOCKS = (6, 12, 24, 48)
"""Blocks of the time clock at which the intervals are looked at."""


@dataclass(frozen=True)
class Width:
    """Half the 95 % interval of a ratio to the baseline, as a part; none from under 3 blocks."""

    machine: str
    variant: str
    blocks: int
    part: float | None


@dataclass(frozen=True)
class Look:
    """What was seen after so many blocks."""

    blocks: int
    metric: str
    wanted: float
    widths: tuple[Width, ...]

    @property
    def widest(self) -> Width | None:
        return max(self.widths, key=lambda w: math.inf if w.part is None else w.part, default=None)

    @property
    def reached(self) -> bool:
        """Whether every interval is as narrow as was asked for."""
        widths = [w.part for w in self.widths]
        return bool(widths) and all(w is not None and w <= self.wanted for w in widths)

    def __str__(self) -> str:
        head, widest = f"look at {self.blocks} blocks, {self.metric}: ", self.widest
        if widest is None:
            return head + "nothing to compare"
        seen = "no interval" if widest.part is None else f"±{widest.part:.1%}"
        cell = f"{widest.variant} on {widest.machine}"
        return head + f"widest is {seen} ({cell}), wanted ±{self.wanted:.1%}"


def parse_width(text: str) -> float:
    """``2%`` as a part; raises `UserError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    if not match or not 0 < float(match[1]) < 100:
        raise UserError(f"not a width: {text!r}", where="--until", remedy="write 2% or 0.5%")
    return float(match[1]) / 100


def schedule(experiment: Experiment) -> Iterator[int]:
    """The looks: the blocks of the experiment itself, if they are many, and the fixed ones above.

    Raises `UserError` where nothing boots by the time clock.
    """
    plans = [g.clocks["time"].blocks for g in experiment.matrix if "time" in g.clocks]
    if not plans:
        raise UserError("no group boots by the time clock", where="--until")
    own = max(plans)
    yield from sorted({max(own, blocks) for blocks in BLOCKS})


def look(dataset: Dataset, experiment: Experiment, metric: str, wanted: float, blocks: int) -> Look:
    """The width of the interval of `metric` for each variant and machine of the time clock."""
    widths = []
    for subject, variants in series_of(dataset, (metric,)).items():
        base = variants.get(experiment.baseline)
        if subject.clock != "time" or base is None:
            continue
        for variant, series in variants.items():
            if variant == experiment.baseline or is_arm(variant):
                continue
            a, b = pair(series, base)
            half = paired(a, b).width if len(a) else None
            part = None if half is None else math.expm1(half)
            widths.append(Width(subject.machine, variant, len(a), part))
    return Look(blocks, metric, wanted, tuple(widths))
