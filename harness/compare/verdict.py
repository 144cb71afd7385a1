# SPDX-License-Identifier: GPL-2.0-only
"""From an effect to a word, and how many more blocks would settle what is open. Pure.

faster, slower   adjusted p below 0.05, and the whole interval beyond the smallest effect of
                 interest; of memory: less, more
equivalent       the whole interval within that part of the baseline
too small to matter here   the whole interval within the smallest effect of interest, but not within
                 that part: on a larger machine it may matter
inconclusive     anything else, and whatever fewer than six blocks show

A good word of a variant that fails more often than the baseline says so: "faster, but fails".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.compare.effect import ALPHA, Effect, adjusted, needed

Word = Literal[
    "faster",
    "faster, but fails",
    "slower",
    "less",
    "less, but fails",
    "more",
    "equivalent",
    "equivalent, but fails",
    "too small to matter here",
    "too small to matter here, but fails",
    "inconclusive",
]

MANY = 1000
"""More blocks than this are not counted: nobody boots that often to settle a question."""


@dataclass(frozen=True)
class Interest:
    """The smallest effect of interest: a part of the baseline, and an amount in its unit.

    An effect has to exceed both, so that 50 % of a phase that takes 20 µs is no news.
    """

    part: float = 0.02
    amount: float = 0.0

    def bounds(self, base: float) -> tuple[float, float]:
        """The logarithms of the ratios between which an effect on `base` is of no interest."""
        part = max(self.part, self.amount / base)
        return math.log1p(-part) if part < 1 else -math.inf, math.log1p(part)


@dataclass(frozen=True)
class Verdict:
    """A word, what stands behind it, and for an open one how many more blocks would settle it."""

    word: Word
    adjusted_p: float | None
    why: str = ""
    more_blocks: int | None = None


def decide(
    effects: Sequence[Effect],
    bounds: Sequence[tuple[float, float]],
    words: tuple[Word, Word] = ("faster", "slower"),
    part: float = Interest.part,
) -> list[Verdict]:
    """The verdicts of one family of tests; `words` name an effect below and above 1.

    `bounds` are those of `Interest.bounds`, and `part` is its part, whatever the amount.
    """
    same = Interest(part).bounds(1.0)
    tested = [effect.p for effect in effects if effect.p is not None]
    ps = iter(adjusted(np.array(tested, dtype=float)))
    found = []
    for effect, limits in zip(effects, bounds, strict=True):
        p = None if effect.p is None else float(next(ps))
        told = _decide(effect, limits, p, words, len(tested))
        if told.word == "equivalent" and _place(effect, same, words) != "equivalent":
            told = replace(told, word="too small to matter here")
        found.append(told)
    return found


def _place(effect: Effect, limits: tuple[float, float], words: tuple[Word, Word]) -> Word:
    """Where the ends of an effect lie."""
    if effect.low is None or effect.high is None:
        return "inconclusive"
    if effect.high < limits[0]:
        return words[0]
    if effect.low > limits[1]:
        return words[1]
    within = limits[0] < effect.low and effect.high < limits[1]
    return "equivalent" if within else "inconclusive"


_FAILS: dict[Word, Word] = {
    "faster": "faster, but fails",
    "less": "less, but fails",
    "equivalent": "equivalent, but fails",
    "too small to matter here": "too small to matter here, but fails",
}


def but_fails(verdict: Verdict) -> Verdict:
    """The same of a variant that fails more often: those that came through are not all of it."""
    return replace(verdict, word=_FAILS.get(verdict.word, verdict.word))


def _decide(
    effect: Effect,
    limits: tuple[float, float],
    p: float | None,
    words: tuple[Word, Word],
    tests: int,
) -> Verdict:
    word, least = _place(effect, limits, words), needed(effect.test)
    if p is None:
        why = "the ranges lie too close for this noise" if word == "inconclusive" else ""
        return Verdict(word, None, why)
    if effect.low is None or effect.n < least:
        unit = "boots on each side" if effect.test == "Mann-Whitney" else "blocks"
        why = f"needs at least {least} {unit}: below, p cannot go under {ALPHA}"
        return Verdict("inconclusive", p, why, least - effect.n)
    if word == "equivalent" or (word in words and p < ALPHA):
        return Verdict(word, p)
    why = "the interval holds effects of interest and others"
    if word in words:
        why = f"the interval is beyond what is of interest, but p is not below {ALPHA}"
    return Verdict("inconclusive", p, why, _more(effect, limits, tests))


def _more(effect: Effect, limits: tuple[float, float], tests: int) -> int | None:
    """Blocks that are still wanted if the effect stays as it is seen, none where they are many.

    An interval narrows with the root of their number, and must get clear of the nearer limit. A
    difference must also be found: alone among its family it needs p below alpha over the tests.
    """
    gap = min(abs(effect.estimate - limit) for limit in limits)
    width = effect.width or 0.0
    if width > gap * math.sqrt((MANY + effect.n) / effect.n):
        return None
    wanted = effect.n if width < gap else math.ceil(effect.n * (width / gap) ** 2)
    if not limits[0] < effect.estimate < limits[1]:
        wanted = max(wanted, needed(effect.test, ALPHA / tests))
    return max(1, wanted - effect.n)
