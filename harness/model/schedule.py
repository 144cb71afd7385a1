# SPDX-License-Identifier: GPL-2.0-only
"""Slots and blocks: which boots an experiment has, and in what order.

A kernel of the schedule is called ``VARIANT``, ``VARIANT@BASE`` where the experiment names bases,
and has `ARM` behind it in the second arm of an A/A comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from harness.model.run import Clock
from harness.model.schema import Name


def _no_arm(name: str) -> str:
    if f"@{name}" == ARM:
        raise ValueError(f"{name!r} is no name of a base: a second arm is called NAME{ARM}")
    return name


BaseName = Annotated[Name, AfterValidator(_no_arm)]
"""A file in kernel-patches/bases/."""

ARM = "@2"
"""What the second arm of an A/A comparison has behind the name of its variant."""


def is_arm(variant: str) -> bool:
    """Whether a name is that of a second arm: the same kernel once more."""
    return variant.endswith(ARM)


def first_arm(variant: str) -> str:
    """The same kernel under its own name."""
    return variant.removesuffix(ARM)


def definition(variant: str) -> str:
    """The variant that a name in the schedule stands for."""
    return variant.partition("@")[0]


def base_of(variant: str) -> str | None:
    """The base that a name in the schedule says."""
    return first_arm(variant).partition("@")[2] or None


def on_base(variant: str, base: str | None) -> str:
    """The name of a variant on a base; its own where the experiment names none."""
    return f"{variant}@{base}" if base else variant


def peer(baseline: str, variant: str) -> str:
    """What a kernel is compared with: the baseline on its own base, unless that says which."""
    return baseline if "@" in baseline else on_base(baseline, base_of(variant))


@dataclass(frozen=True)
class Slot:
    """One boot of the schedule. `block` is negative for a warm-up."""

    variant: str
    machine: str
    clock: Clock
    block: int
    order: int

    @property
    def warmup(self) -> bool:
        return self.block < 0

    @property
    def cell(self) -> tuple[str, str, Clock]:
        """Variant, machine and clock: what its repeats share."""
        return self.variant, self.machine, self.clock

    @property
    def key(self) -> str:
        """Its folder under ``runs/``."""
        block = "warmup" if self.warmup else f"{self.block:03d}"
        return f"{self.variant}/{self.machine}/{self.clock}/{block}"

    @property
    def block_key(self) -> tuple[str, Clock, int]:
        """Machine, clock and number: what the boots of a block share."""
        return self.machine, self.clock, self.block

    def run_id(self, lock: str) -> str:
        """The same boot of the same locked experiment has the same id."""
        return hashlib.sha256(f"{lock}/{self.key}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Block:
    """Boots that belong together: all variants on one machine, by one clock, once."""

    slots: tuple[Slot, ...]

    @property
    def clock(self) -> Clock:
        return self.slots[0].clock

    @property
    def key(self) -> str:
        """Its name in the ledger."""
        machine, clock, number = self.slots[0].block_key
        return f"{machine}/{clock}/{'warmup' if number < 0 else f'{number:03d}'}"


def blocks(slots: Iterable[Slot]) -> tuple[Block, ...]:
    """The blocks of a schedule, or of what is left of it, each where its first boot stands."""
    found: dict[tuple[str, Clock, int], list[Slot]] = {}
    for slot in slots:
        found.setdefault(slot.block_key, []).append(slot)
    return tuple(Block(tuple(members)) for members in found.values())
