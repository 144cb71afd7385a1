# SPDX-License-Identifier: GPL-2.0-only
"""What stores would take if another node's memory were farther away: a model, nothing measured.

It assumes that a store to the CPU's own node takes one unit of time and one to another node
`ratio` units, whichever; that nothing but stores into the memmap takes any time; that CPUs do not
slow each other down, and that threads of a node share its stores evenly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

RATIOS = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Remote to local, from no difference to what large machines are said to have at most."""

THREADS = (1, 4, 16)
"""Threads of a node."""


@dataclass(frozen=True)
class Work:
    """Stores by the CPUs of one node: to its own memory, and to that of other nodes."""

    local: int = 0
    remote: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.local + other.local, self.remote + other.remote)

    @property
    def stores(self) -> int:
        return self.local + self.remote

    def cost(self, ratio: float) -> float:
        """Units of time for one CPU."""
        return self.local + ratio * self.remote


def in_turn(work: Iterable[Work], ratio: float) -> float:
    """Time for one thread that does the work of all nodes, one after the other."""
    return sum(part.cost(ratio) for part in work)


def at_once(work: Iterable[Work], ratio: float, threads: int = 1) -> float:
    """Time where each node has threads of its own: that of the slowest node."""
    return max((part.cost(ratio) for part in work), default=0.0) / threads
