# SPDX-License-Identifier: GPL-2.0-only
"""New levels in a series of nights: where they began, and when that was sure. Pure.

A noisy series is cut where that explains it best: ruptures, with a Gaussian kernel. Nights of one
host hang together, and most methods take that for steps; docs/nightly.md has the comparison. The
kernel sees how often figures are near each other and not how far away the others are, so odd nights
and heavy tails count little, and a step is sure once about seven nights are on its side. What
hardly varies needs none of this: there a night that is off is a step.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import ruptures
from scipy.spatial.distance import pdist

from harness.compare import Interest, Values

PENALTY = 2.0
"""What a step costs, in logarithms of the number of nights; less finds more that is not there."""
LEARN = 8
"""Nights before which nothing is known of the spread, and no step is called."""
RECALL = 120
"""Nights that are looked at."""
LATE, LATE_PENALTY = 10, 4.0
"""Nights after which a step has to be as clear as that: what a year makes of its spring is seldom
news, unless it has crept up."""
CLOSE = 5
"""Nights by which the begin of one and the same step may move when more are known."""
FINEST = 0.001
"""The least distance of two nights, as a part: figures may not vary at all."""


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
    begin = 0
    for night in range(len(logs)):
        begin = night if night in fresh else begin
        first = max(begin, night + 1 - RECALL)
        for start in (first + cut for cut in _cuts(logs[first : night + 1])):
            if any(abs(start - step.start) < CLOSE for step in found):
                continue
            level = max([first, *(step.start for step in found if first < step.start < start)])
            before = float(np.median(logs[level:start]))
            after = float(np.median(logs[start : night + 1]))
            low, high = interest.bounds(math.exp(before))
            if not low <= after - before <= high:
                found.append(Step(start, night, math.exp(before), math.exp(after)))
    return found


def _cuts(logs: Values) -> list[int]:
    """Where the series is cut: in the last nights, and before them where that is clear."""
    if len(logs) < LEARN:
        return []
    distance = max(float(np.median(pdist(logs[:, None], "sqeuclidean"))), FINEST**2)
    search = ruptures.KernelCPD(kernel="rbf", min_size=2, params={"gamma": 1 / distance}).fit(logs)
    late, cost = len(logs) - 1 - LATE, math.log(len(logs))
    clear: list[int] = [cut for cut in search.predict(pen=LATE_PENALTY * cost)[:-1] if cut < late]
    recent: list[int] = [cut for cut in search.predict(pen=PENALTY * cost)[:-1] if cut >= late]
    return clear + recent


def jumps(
    values: Sequence[float], interest: Interest, floor: float, fresh: Collection[int] = ()
) -> list[Step]:
    """The steps of figures that hardly vary: nights off the level by more than `floor` as well.

    `floor` is by how much one and the same kernel differs from itself.
    """
    found: list[Step] = []
    level: list[float] = []
    for night, value in enumerate(values):
        if night in fresh:
            level = []
        if level:
            before = float(np.median(level))
            away = abs(value - before)
            if away > max(interest.part * before, interest.amount) + floor:
                found.append(Step(night, night, before, value))
                level = []
        level.append(value)
    return found
