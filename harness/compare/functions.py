# SPDX-License-Identifier: GPL-2.0-only
"""Which functions explain why one boot executes more instructions than another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from harness.parse import Profile
from harness.units import amount

MOST = 5
"""Functions that a sentence names."""
ENOUGH = 0.9
"""The part of all that changed, up and down, from which on the rest is told as one figure."""


class FunctionDifference(NamedTuple):
    """Instructions of a function itself in two boots; 0 where it did not run."""

    function: str
    base: int
    new: int

    @property
    def difference(self) -> int:
        return self.new - self.base


@dataclass(frozen=True)
class Explanation:
    """Why two profiles differ: those functions add up to all of the difference."""

    base: int
    """instructions of the whole"""
    new: int
    differences: tuple[FunctionDifference, ...]
    """every function that differs, the largest difference first"""
    event: str = "instructions"
    """what is counted"""

    @property
    def difference(self) -> int:
        return self.new - self.base

    @property
    def telling(self) -> tuple[FunctionDifference, ...]:
        """The fewest that make up most of what changed, up and down; `MOST` of them at most."""
        enough = ENOUGH * sum(abs(each.difference) for each in self.differences)
        found, seen = [], 0
        for each in self.differences[:MOST]:
            if seen >= enough:
                break
            found.append(each)
            seen += abs(each.difference)
        return tuple(found)

    @property
    def in_all(self) -> str:
        """The whole of the difference, and what it is made of."""
        return f"{self.difference:+,} {self.event} in all: {self}"

    def __str__(self) -> str:
        """In words: ``memmap_init_range -80.9 M, deferred_init_maxorder +45.3 M, 12 others ...``"""
        if not self.differences:
            return "no function differs"
        named = self.telling
        said = [f"{each.function} {_signed(each.difference)}" for each in named]
        if rest := self.differences[len(named) :]:
            sum_ = sum(each.difference for each in rest)
            others = "1 other" if len(rest) == 1 else f"{len(rest)} others"
            said.append(f"{others} {_signed(sum_)}")
        return ", ".join(said)


def explain(base: Profile, new: Profile) -> Explanation:
    """The functions that explain what `new` executes more or less than `base`.

    Each counts with its own instructions, so that their differences add up. What the compiler has
    put into another function counts there.
    """
    before, after = base.costs, new.costs
    found = [
        FunctionDifference(
            name,
            before[name].own if name in before else 0,
            after[name].own if name in after else 0,
        )
        for name in before.keys() | after.keys()
    ]
    changed = sorted(
        (each for each in found if each.difference),
        key=lambda each: (-abs(each.difference), each.function),
    )
    return Explanation(base.total, new.total, tuple(changed), new.event)


def _signed(value: int) -> str:
    return f"{'+' if value >= 0 else '-'}{amount(abs(value), 'instructions')}"
