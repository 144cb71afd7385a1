# SPDX-License-Identifier: GPL-2.0-only
"""Whether the boots of a variant come to their end as often as the baseline's. Pure.

The work clock repeats itself, so a cell that fails there where the baseline does not is worse, and
nothing is tested. On the time clock all cells of a variant are one test, because single cells have
few boots; a cell whose boots all failed is named by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from harness.compare.effect import ALPHA, adjusted
from harness.dataset import CELL
from harness.model import GOOD, is_arm, peer

ALL = "all"
"""Stands for every machine of the dataset."""

WORSE = ("fails more", "does not boot")
"""The words of a variant that boots less often than the baseline."""

Counts = dict[tuple[str, str, str], tuple[int, int]]
"""Variant, machine and clock to boots that came to their end, and all boots."""


@dataclass(frozen=True)
class Success:
    """How many boots came to their end, against the baseline's; `p` is none without a test."""

    machine: str
    clock: str
    variant: str
    baseline: str
    good: int
    boots: int
    base_good: int
    base_boots: int
    p: float | None = None
    adjusted_p: float | None = None

    @property
    def fails_more(self) -> bool:
        """Whether the share of failures is larger than the baseline's, by chance or not."""
        return self.good * self.base_boots < self.base_good * self.boots

    @property
    def word(self) -> str:
        if self.good == self.boots and self.base_good == self.base_boots:
            return "all booted"
        if not self.good and 2 * self.base_good > self.base_boots:
            return "does not boot"
        if self.good * self.base_boots == self.base_good * self.boots:
            return "fails alike"
        if self.adjusted_p is not None and self.adjusted_p >= ALPHA:
            return "not told apart"
        return "fails more" if self.fails_more else "fails less"


def successes(
    runs: pd.DataFrame, base_runs: pd.DataFrame, baseline: str | None
) -> tuple[Success, ...]:
    """Each variant against `baseline`, or against itself in `base_runs` where that is none.

    Only cells that both have are counted. A second arm of the baseline is a test of its own.
    """
    cells = list(_cells(_counts(runs), _counts(base_runs), baseline, same=runs is base_runs))
    timed: dict[str, list[Success]] = {}
    for cell in cells:
        if cell.clock == "time":
            timed.setdefault(cell.variant, []).append(cell)
    tests = [_together(mine) for mine in timed.values()]
    dead = [c for mine in timed.values() if len(mine) > 1 for c in mine if c.word in WORSE[1:]]
    return (*_adjusted(tests), *dead, *(cell for cell in cells if cell.clock != "time"))


def failing(found: Sequence[Success]) -> frozenset[str]:
    """The variants that fail more often than the baseline, whether or not by chance."""
    return frozenset(s.variant for s in found if s.fails_more)


def _counts(runs: pd.DataFrame) -> Counts:
    boots = runs[~runs["warmup"]]
    good = boots["outcome"].isin(GOOD).groupby([boots[c] for c in CELL]).agg(["sum", "size"])
    return {key: (int(a), int(b)) for key, a, b in zip(good.index, *good.T.to_numpy(), strict=True)}


def _cells(mine: Counts, theirs: Counts, baseline: str | None, same: bool) -> Iterator[Success]:
    for (variant, machine, clock), counts in mine.items():
        name = peer(baseline, variant) if baseline else variant
        base = theirs.get((name, machine, clock))
        if base is not None and not (same and name == variant):
            yield Success(machine, clock, variant, name, *counts, *base)


def _together(cells: Sequence[Success]) -> Success:
    """The cells of one variant as one, by Fisher's exact test."""
    counts = np.array([[c.good, c.boots, c.base_good, c.base_boots] for c in cells]).sum(axis=0)
    good, boots, base_good, base_boots = map(int, counts)
    table = [[good, boots - good], [base_good, base_boots - base_good]]
    first = cells[0]
    return Success(
        first.machine if len(cells) == 1 else ALL,
        first.clock,
        first.variant,
        first.baseline,
        *(good, boots, base_good, base_boots),
        p=float(stats.fisher_exact(table).pvalue),
    )


def _adjusted(tests: Sequence[Success]) -> Iterator[Success]:
    for arms in (False, True):
        family = [test for test in tests if is_arm(test.variant) == arms]
        ps = adjusted(np.array([test.p for test in family], dtype=float))
        yield from (replace(t, adjusted_p=float(p)) for t, p in zip(family, ps, strict=True))
