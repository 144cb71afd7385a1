# SPDX-License-Identifier: GPL-2.0-only
"""What a comparison found beyond doubt, in sentences. Pure.

A sentence needs a verdict: what is inconclusive, equivalent or within a floor makes none. Of each
figure the largest machine is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.compare.compare import Comparison
from harness.compare.effect import FEW
from harness.compare.series import RSS
from harness.compare.success import WORSE
from harness.model import is_arm
from harness.units import amount

TOLD = ("memmap_init", "memblock_free_all", "page_alloc_init_late", "boot", RSS)
"""Figures that a sentence is made of, in the order of a boot; the rest is in the tables."""


@dataclass(frozen=True)
class _Finding:
    variant: str
    baseline: str
    machine: str
    clock: str
    name: str
    metric: str
    word: str
    value: float
    base: float

    @property
    def size(self) -> float:
        """How far from no difference, whichever way."""
        return abs(math.log(self.value / self.base)) if self.value and self.base else math.inf

    def __str__(self) -> str:
        what, less, more = _SUBJECTS.get(self.name, (self.name, *_WORDS[self.clock]))
        ratio = self.value / self.base
        word = less if ratio < 1 else more
        fails = ", but fails more often" if self.word.endswith("but fails") else ""
        return (
            f"{self.variant}: {what} {word.format(_factor(ratio))} than {self.baseline}'s on"
            f" {self.machine} ({amount(self.value, self.metric)}, not"
            f" {amount(self.base, self.metric)}){fails}."
        )


_WORDS = {
    "time": ("is {} faster", "is {} slower"),
    "work": ("takes {} fewer instructions", "takes {} more instructions"),
}
_SUBJECTS = {RSS: ("QEMU's memory", "is {} less", "is {} more")}


def conclusions(found: Comparison) -> list[str]:
    """Boots that fail first, then what differs by variant, then what is still open."""
    return [*_boots(found), *map(str, _largest(found)), *_open(found)]


def lead(found: Comparison, most: int = 3) -> list[str]:
    """The few sentences to begin with: boots that fail, then the largest difference of each variant
    that has one, the largest of all first; or what is still open."""
    largest: dict[str, _Finding] = {}
    for each in _largest(found):
        known = largest.get(each.variant)
        if known is None or each.size > known.size:
            largest[each.variant] = each
    ranked = sorted(largest.values(), key=lambda each: -each.size)
    return [*_boots(found), *map(str, ranked), *_open(found)][:most]


def _boots(found: Comparison) -> Iterator[str]:
    for s in found.success:
        if s.word in WORSE and not is_arm(s.variant):
            where = "any machine" if s.word == "does not boot" and s.machine == "all" else s.machine
            yield (
                f"{s.variant} {s.word} on {where} by the {s.clock} clock: {s.good} of {s.boots}"
                f" boots came to their end, of {s.baseline} {s.base_good} of {s.base_boots}."
            )


def _largest(found: Comparison) -> list[_Finding]:
    """Of each figure with a verdict the last machine, which is the largest."""
    last: dict[tuple[str, ...], _Finding] = {}
    for each in _findings(found):
        # QEMU takes as much by either clock.
        twice = each.name == RSS and (each.variant, "time", RSS) in last and each.clock == "work"
        if each.name in TOLD and not twice:
            last[each.variant, each.clock, each.name] = each
    variants = list(dict.fromkeys(each.variant for each in last.values()))
    return sorted(
        last.values(), key=lambda f: (variants.index(f.variant), TOLD.index(f.name), f.clock)
    )


def _findings(found: Comparison) -> Iterator[_Finding]:
    for family in found.families:
        for t in family.tests:
            word = t.verdict.word.partition(",")[0]
            if word in ("faster", "slower", "less", "more") and not is_arm(t.variant):
                value = t.base_median * math.exp(t.effect.estimate)
                yield _Finding(
                    t.variant, t.baseline, t.subject.machine, t.subject.clock, t.subject.name,
                    t.subject.metric, t.verdict.word, value, t.base_median,
                )  # fmt: skip
    for e in found.exact:
        if e.word == "changed" and abs(e.difference) > found.options.part * e.base_count > 0:
            yield _Finding(
                e.variant, e.baseline, e.subject.machine, e.subject.clock, e.subject.name,
                e.subject.metric, e.word, e.count, e.base_count,
            )  # fmt: skip


def _open(found: Comparison) -> Iterator[str]:
    times = [t for f in found.families for t in f.tests if t.effect.p is not None]
    few = [t.effect.n for t in times if t.effect.n < FEW]
    if few:
        yield (
            f"By the time clock {len(few)} of {len(times)} figures have fewer than {FEW} blocks"
            " and so no verdict; `harness run --until 2%` adds blocks."
        )


def _factor(ratio: float) -> str:
    times = max(ratio, 1 / ratio) if ratio else math.inf
    return f"{abs(1 - ratio):.0%}" if times < 2 else f"{times:.3g} times"
