# SPDX-License-Identifier: GPL-2.0-only
"""How much one kernel differs from another: an effect with its interval and its test. Pure.

Times are skewed and their noise grows with them, so effects are logarithms of ratios. The centre
is Hodges and Lehmann's: the median of all means of two (Walsh averages), or, without pairs, of all
differences. Tests and intervals are scipy's, except the sign-flip test, which goes through all
signs of all metrics at once and is a hundred times as fast that way; a test compares the two.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.float64]
Test = Literal["sign-flip", "Wilcoxon", "Mann-Whitney", "A/A floor"]

ALPHA = 0.05
FEW = 6
"""Values a side: below, what is given is the range, which is no interval of 95 %."""
EXACT_UP_TO = 16
"""Pairs: up to here all signs are flipped, above it is Wilcoxon's test."""
RESAMPLED_UP_TO = 32
"""Values a side: above, the interval is that of the rank test, which needs no resampling."""
RESAMPLES = 2000
SEED = 20130814


@dataclass(frozen=True)
class Effect:
    """Of `n` pairs, or of boots on each side where there are none.

    `estimate`, `low` and `high` are logarithms of the ratio; `ranged` says what the two ends are.
    `p` is none where nothing is tested.
    """

    n: int
    estimate: float
    low: float | None
    high: float | None
    p: float | None
    test: Test

    @property
    def ranged(self) -> bool:
        """Whether `low` and `high` are the smallest and the largest, not an interval of 95 %."""
        return self.n < FEW or self.test == "A/A floor"

    @property
    def width(self) -> float | None:
        """Half the 95 % interval, where there is one."""
        ends = self.low, self.high
        return None if self.ranged or None in ends else (self.high - self.low) / 2  # type: ignore[operator]


def paired(values: Values, base: Values) -> Effect:
    """Of pairs of positive values, each pair from one block."""
    logs = np.log(values / base)
    low, high = _interval((logs,), centre, len(logs))
    test: Test = "sign-flip" if len(logs) <= EXACT_UP_TO else "Wilcoxon"
    p = sign_flip(logs) if test == "sign-flip" else _wilcoxon(logs)
    return Effect(len(logs), float(centre(logs)), low, high, p, test)


def unpaired(values: Values, base: Values) -> Effect:
    """Of positive values that have no blocks in common."""
    sides = np.log(values), np.log(base)
    n = min(map(len, sides))
    low, high = _interval(sides, shift, n)
    p = float(stats.mannwhitneyu(*sides).pvalue)
    return Effect(n, float(shift(*sides)), low, high, p, "Mann-Whitney")


def floored(values: Values, base: Values, floor: float) -> Effect:
    """Of positive values that hardly vary: their ranges, and `floor` to each side of them.

    `floor` is by how much two boots of one kernel differ, in the unit of the values.
    """
    middle = float(np.median(base))
    ends = values.min() - base.max() - floor, values.max() - base.min() + floor
    low, high = (math.log1p(end / middle) if end > -middle else -math.inf for end in ends)
    estimate = math.log(float(np.median(values)) / middle)
    return Effect(min(len(values), len(base)), estimate, low, high, None, "A/A floor")


def centre(values: Values, axis: int = -1) -> Any:
    """Hodges and Lehmann's: the median of the Walsh averages."""
    return np.median(_walsh(values), axis=axis)


def shift(values: Values, base: Values, axis: int = -1) -> Any:
    """Hodges and Lehmann's for two samples: the median of all differences."""
    return np.median(_differences(values, base), axis=axis)


def sign_flip(values: Values) -> float:
    """Two-sided p of the exact test: how many of all signs move the mean as far from 0."""
    seen = abs(float(values.sum()))
    sums = np.abs(_signs(len(values)) @ values)
    return float(np.mean(sums >= seen * (1 - 1e-12)))


def smallest_p(test: Test, n: int) -> float:
    """What p cannot go below with `n` pairs, or with `n` boots on each side."""
    return 2 / math.comb(2 * n, n) if test == "Mann-Whitney" else 2.0 ** (1 - n)


def needed(test: Test, alpha: float = ALPHA) -> int:
    """Pairs, or boots on each side, without which p cannot go below `alpha`."""
    return next(n for n in range(1, 200) if smallest_p(test, n) < alpha)


def adjusted(ps: Values) -> Values:
    """Benjamini and Hochberg's: the share of false discoveries among those up to each."""
    return np.asarray(stats.false_discovery_control(ps, method="bh")) if len(ps) else ps


@functools.cache
def _signs(n: int) -> npt.NDArray[np.float64]:
    """All signs of n values but for a common one, which cannot change a two-sided test."""
    bits = np.arange(2 ** (n - 1))[:, None] >> np.arange(n)
    return (1 - 2 * (bits & 1)).astype(float)


def _wilcoxon(values: Values) -> float:
    return float(stats.wilcoxon(values).pvalue) if values.any() else 1.0


def _walsh(values: Values) -> Values:
    i, j = np.triu_indices(values.shape[-1])
    return np.asarray((values[..., i] + values[..., j]) / 2)


def _differences(values: Values, base: Values) -> Values:
    pairs = values[..., :, None] - base[..., None, :]
    return np.asarray(pairs.reshape(*pairs.shape[:-2], -1))


def _interval(
    samples: tuple[Values, ...], statistic: Any, n: int
) -> tuple[float, float] | tuple[None, None]:
    """At 95 %: from resampled blocks, or above `RESAMPLED_UP_TO` that of the rank test.

    Of fewer than `FEW` values the range: three hold their median in three of four experiments only.
    """
    if n < 2:
        return None, None
    if n < FEW:
        found = samples[0] if len(samples) == 1 else _differences(*samples)
        return float(found.min()), float(found.max())
    if n > RESAMPLED_UP_TO:
        return _ranked(samples)
    if all(np.ptp(sample) == 0 for sample in samples):
        value = float(statistic(*samples))
        return value, value
    found = stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        confidence_level=_level(n),
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def _level(n: int) -> float:
    """The level at which a percentile interval of n values holds what it says of 95 %.

    Resamples vary less than samples do, by sqrt((n - 1) / n), and few values need Student's
    quantile: the expanded percentile interval of Hesterberg (2015).
    """
    quantile = math.sqrt(n / (n - 1)) * stats.t.ppf(1 - ALPHA / 2, n - 1)
    return float(1 - 2 * stats.norm.sf(quantile))


def _ranked(samples: tuple[Values, ...]) -> tuple[float, float]:
    """The shifts that Wilcoxon's or Mann and Whitney's test does not reject (Lehmann)."""
    if len(samples) == 1:
        (n,) = map(len, samples)
        ordered = np.sort(_walsh(samples[0]))
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    else:
        a, b = map(len, samples)
        ordered = np.sort(_differences(*samples))
        spread = math.sqrt(a * b * (a + b + 1) / 12)
    cut = int(len(ordered) / 2 - stats.norm.ppf(1 - ALPHA / 2) * spread)
    return float(ordered[cut]), float(ordered[-1 - cut])
