# SPDX-License-Identifier: GPL-2.0-only
"""Steps in a noisy series of nights: where its level changed, and when that was sure. Pure.

A night is held against the median of all nights since the last step, in units of the spread that
nights have from one to the next (by a median, so an odd night does not widen it). Two nights in a
row have to be off to the same side: one that is odd by itself is no step, and a step is sure on
its second night. Slow creep is found as well, because a level has no window.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from harness.compare import Interest, Values

EACH = 3.0
"""Scales by which either of the two nights is off."""
BOTH = 4.0
"""Standard errors by which their mean is off, once many nights are known."""
LEARN = 8
"""Nights before which nothing is known of the spread, and no step is called."""
RECALL = 90
"""Nights from which the spread is taken."""
FINEST = 0.001
"""The least scale, as a part: figures that do not vary at all would make anything a step."""
NORMAL = 1.4826
"""Standard deviation over median absolute deviation, of a normal distribution."""


@dataclass(frozen=True)
class Step:
    """A new level from the night `start` on, sure on the night `found`; both count from 0."""

    start: int
    found: int
    before: float
    after: float


def steps(values: Sequence[float], interest: Interest, fresh: Collection[int] = ()) -> list[Step]:
    """The steps of positive figures, one a night.

    On the nights `fresh` the instrument changed: a level ends there, and nobody is blamed.
    """
    logs = np.log(np.asarray(values, dtype=float))
    found: list[Step] = []
    start = 0
    for night in range(len(logs)):
        if night in fresh:
            start = night
        level, pair = logs[start : night - 1], logs[night - 1 : night + 1]
        known = logs[max(0, night - 1 - RECALL) : night - 1]
        if night - 1 > start and _off(level, pair, known, interest):
            before, after = float(np.median(level)), float(pair.mean())
            found.append(Step(night - 1, night, math.exp(before), math.exp(after)))
            start = night - 1
    return found


def _off(level: Values, pair: Values, known: Values, interest: Interest) -> bool:
    """Whether two nights are both, and together, off the level of those before them."""
    centre = float(np.median(level))
    away = pair - centre
    low, high = interest.bounds(math.exp(centre))
    if np.sign(away[0]) != np.sign(away[1]) or low <= away.mean() <= high:
        return False
    if len(known) < LEARN:
        return False
    # From night to night, so that neither a step nor creep counts as noise.
    jumps = np.abs(np.diff(known))
    scale = max(NORMAL * float(np.median(jumps)) / math.sqrt(2), FINEST)
    # The mean of two nights varies, and the median of a few varies as well.
    error = scale * math.sqrt(1 / 2 + math.pi / 2 / len(level))
    return bool(np.abs(away).min() > EACH * scale and abs(away.mean()) > _far(len(jumps)) * error)


@functools.lru_cache(maxsize=RECALL)
def _far(known: int) -> float:
    """`BOTH`, further out while the scale comes from few nights: a median absolute deviation is
    worth about half as many values as a standard deviation."""
    return float(stats.t.isf(stats.norm.sf(BOTH), known / 2))
