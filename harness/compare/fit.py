# SPDX-License-Identifier: GPL-2.0-only
"""How a quantity grows with the guest's memory: a straight line, and where there is none. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from harness.compare.effect import ALPHA

SIZES = 3
"""A line through two points says nothing of whether there is one."""
STRAIGHT = 0.10
"""A line that misses a size by more than this part is called bad."""


@dataclass(frozen=True)
class Fit:
    """`intercept + slope * bytes`, with 95 % intervals, from the medians of each size.

    `misses` has for each size by what part the line lies above what was measured, and `left_out`
    by what part one through all sizes but the largest lies above that one; none from under four.
    `covariance` is of slope and intercept in units of the largest size, `spread` the standard
    deviation of the sizes from the line, as a part.
    """

    intercept: float
    intercept_low: float
    intercept_high: float
    slope: float
    slope_low: float
    slope_high: float
    smallest: int
    largest: int
    misses: dict[int, float]
    left_out: float | None
    covariance: tuple[tuple[float, float], tuple[float, float]]
    spread: float

    @property
    def trusted(self) -> bool:
        """Whether the line may be followed beyond the sizes: it would have told the largest."""
        return self.straight and self.left_out is not None and abs(self.left_out) <= STRAIGHT

    def interval(self, size: int) -> tuple[float, float]:
        """Where a measurement of that size is expected, at 95 %."""
        value, at = self.at(size)[0], np.array([size / self.largest, 1.0])
        variance = float(at @ np.array(self.covariance) @ at) + (self.spread * value) ** 2
        reach = stats.t.ppf(1 - ALPHA / 2, len(self.misses) - 2) * math.sqrt(variance)
        return float(value - reach), float(value + reach)

    @property
    def worst(self) -> int:
        """The size that the line misses most."""
        return max(self.misses, key=lambda size: abs(self.misses[size]))

    @property
    def straight(self) -> bool:
        return abs(self.misses[self.worst]) <= STRAIGHT

    def at(self, size: int) -> tuple[float, bool]:
        """What the line says of a size, and whether that is extrapolated."""
        return self.intercept + self.slope * size, not self.smallest <= size <= self.largest


def fit(medians: Mapping[int, float]) -> Fit | None:
    """The line through (bytes, median) with the least relative errors; none from under three.

    Relative, because noise grows with what is measured and the largest machine would else decide
    alone. The interval is Student's from how far the sizes lie off the line, which holds noise and
    curvature alike, so it means something on the work clock too, where there is no noise.
    """
    sizes = sorted(size for size, median in medians.items() if median > 0)
    if len(sizes) < SIZES:
        return None
    x, y = np.array(sizes, dtype=float), np.array([medians[size] for size in sizes])
    scale = x.max()
    try:
        (slope, intercept), covariance = np.polyfit(x / scale, y, 1, w=1 / y, cov=True)
    except np.linalg.LinAlgError:  # one point outweighs all others: they are no line
        return None
    reach = stats.t.ppf(1 - ALPHA / 2, len(x) - 2) * np.sqrt(np.diag(covariance))[::-1]
    misses = (intercept + slope * x / scale - y) / y
    shorter = fit({size: medians[size] for size in sizes[:-1]})
    (a, b), (c, d) = covariance.tolist()
    return Fit(
        intercept=float(intercept),
        intercept_low=float(intercept - reach[0]),
        intercept_high=float(intercept + reach[0]),
        slope=float(slope / scale),
        slope_low=float((slope - reach[1]) / scale),
        slope_high=float((slope + reach[1]) / scale),
        smallest=sizes[0],
        largest=sizes[-1],
        misses={size: float(miss) for size, miss in zip(sizes, misses, strict=True)},
        left_out=float(shorter.at(sizes[-1])[0] / y[-1] - 1) if shorter else None,
        covariance=((a, b), (c, d)),
        spread=float(np.sqrt(np.sum(misses**2) / (len(x) - 2))),
    )


def per_page(slope: float) -> float:
    """A slope per byte as one per page of 4 KiB."""
    return slope * 4096


def per_gib(slope: float) -> float:
    return math.ldexp(slope, 30)


def per_tib(slope: float) -> float:
    return math.ldexp(slope, 40)
