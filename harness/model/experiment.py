# SPDX-License-Identifier: GPL-2.0-only
"""An experiment: which variants boot on which machines, by which clock, and in what order."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from harness.model.guest import Distribution
from harness.model.run import Clock, Event, Instrument
from harness.model.schedule import ARM, BaseName, Slot, first_arm, on_base
from harness.model.schema import Model, Name, Parameter
from harness.units import GIB, MIB, Size

Probe = Literal[
    "meminfo",
    "zoneinfo",
    "touch",
    # Those of the correctness gate (harness.gate).
    "settle",
    "census",
    "freelist",
    "huge",
    "migrate",
    "compact",
    "fill",
    "block",
    "oom",
    "walk",
    "cma",
]
"""Programs of the guest."""

TOUCHES = ("first-touch", "touch-recycled", "retouch-mapped")
"""The passes of `touch` as they are shown: a fault, one on used memory, the loop alone."""


class ClockPlan(Model):
    """How often each cell boots by one clock. Warm-up boots are kept but not analysed."""

    blocks: int = Field(default=1, ge=1, le=10_000)
    """how often each variant boots on each machine, warm-up not counted"""
    warmup: int = Field(default=0, ge=0, le=1)
    """boots before them that are kept but not analysed"""
    aa: bool = False
    """boot the baseline once more in each block, as NAME@2: what the two differ by is noise"""


class Probes(Model):
    """What runs in the guest after the boot. `touch_bytes` is memory that the host must have."""

    run: tuple[Probe, ...] = ("meminfo", "zoneinfo", "touch")
    """programs that run in the guest after the boot"""
    touch_bytes: Size = GIB // 2
    """memory that `touch` writes to; the host must have it"""
    touch_threads: int = Field(default=4, ge=1, le=4096)
    """threads that share the work of `touch`"""

    def touched(self, memory: int) -> int:
        """Bytes that the probes take of a guest's memory, and so of the host."""
        if {"fill", "oom"} & set(self.run):
            return memory
        return self.touch_bytes if "touch" in self.run else 0


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if again := next((name for n, name in enumerate(names) if name in names[:n]), None):
        raise ValueError(f"{again!r} is named twice; each base has a name of its own")
    return names


Bases = Annotated[tuple[BaseName, ...], Field(min_length=1), AfterValidator(_distinct)]


COUNTED = ("profile", "both")
"""Instruments that count instructions by function."""


class Counting(Model):
    """What a profile counts, function by function."""

    event: Event = "instructions"
    """`misses` are lines of 64 bytes that an ideal last-level cache of `cache` has to fetch"""
    cache: Size = Field(default=32 * MIB, ge=1024)
    """its size: sets of 16 lines, the latest used first"""


class Group(Model):
    """A part of the matrix: every variant on every machine, by every clock."""

    variants: tuple[Name, ...] = Field(min_length=1)
    """names in kernel-patches/variants/"""
    machines: tuple[Name, ...] = Field(min_length=1)
    """names in qemu-configs/"""
    clocks: dict[Clock, ClockPlan] = Field(min_length=1)
    """`time`, `work` or both"""
    bases: Bases | None = None
    """the bases of these variants, where they are not those of the experiment"""
    probes: Probes | None = None
    """what runs in the guest here, where it is not what the experiment says"""
    count_stores: bool = False
    """whether a plugin of QEMU counts the stores into the memmap; on the work clock only"""
    instrument: Instrument | None = None
    """what tells the phases here, where the experiment says something else; work clock only"""

    @model_validator(mode="after")
    def _counts_alone(self) -> Self:
        key = "count_stores" if self.count_stores else "instrument"
        counts = self.count_stores or self.instrument in COUNTED
        if counts and set(self.clocks) != {"work"}:
            raise ValueError(f"{key}: the guest's CPUs take turns on the work clock only")
        return self

    @property
    def has_arm(self) -> bool:
        return any(plan.aa for plan in self.clocks.values())


class Timeouts(Model):
    """Seconds on the host's clock, for hardware; each is multiplied by the slowdown of TCG."""

    silence_s: float = Field(default=20, gt=0)
    """a boot without output for this long has stalled"""
    progress_s: float = Field(default=60, gt=0)
    """so has one that prints nothing but what it printed before"""
    grace_s: float = Field(default=2, ge=0)
    """time for the rest of a trace after a panic or an oops"""


class Experiment(Model):
    """One file of experiments/."""

    name: Name
    description: str
    """the question, in a sentence"""
    baseline: str
    """the variant that all ratios refer to"""
    matrix: tuple[Group, ...] = Field(min_length=1)
    """groups of variants, machines and clocks; a cell named twice boots once"""
    bases: Bases | None = None
    """names in kernel-patches/bases/: each variant is built on each, and called VARIANT@BASE"""
    probes: Probes = Probes()
    """what runs in the guest"""
    instrument: Instrument | None = None
    """what tells the phases of boots by the work clock: `marks` of the kernel if nothing is said,
    the `profile` of its functions, or `both`"""
    limits: Timeouts = Timeouts()
    """when a boot is given up"""
    seed: int = 1
    """decides the order of the variants within each block"""
    counting: Counting | None = Field(default=None, exclude_if=lambda said: said is None)
    """what a profile counts, where that is not instructions; such boots have no phases by it"""
    search: bool = False
    """boot only as many machines as it takes to find the largest that works (`harness limit`)"""
    host_labels: tuple[str, ...] = ()
    """labels that a host has to have to be given a part of it (hosts.yaml)"""
    boot: tuple[Parameter, ...] = ()
    """kernel parameters of every boot; they come last, and the kernel takes the last"""
    guest: Distribution | None = None
    """a distribution to boot into, in the place of the initramfs"""

    @model_validator(mode="after")
    def _a_network_is_no_clockwork(self) -> Self:
        if self.guest and any("work" in group.clocks for group in self.matrix):
            raise ValueError(
                "guest: its probes run over SSH, whose packets come when they come: no two boots of"
                " the work clock would be the same; use the time clock, or drop the guest"
            )
        return self

    @model_validator(mode="after")
    def _only_the_work_clock_is_profiled(self) -> Self:
        if self.instrument in COUNTED and "work" not in self.clocks:
            raise ValueError(
                "instrument: functions are counted on the work clock alone, and nothing here boots"
                " by it; add `work` to the clocks, or drop the key"
            )
        return self

    @model_validator(mode="after")
    def _instructions_make_phases(self) -> Self:
        if self.counting and self.counting.event != "instructions" and self.instrument != "profile":
            raise ValueError(f"counting: {self.counting.event} needs `instrument: profile`")
        return self

    @model_validator(mode="after")
    def _baseline_takes_part(self) -> Self:
        there = tuple(dict.fromkeys(v for group in self.matrix for v in group.variants))
        if self.baseline not in there:
            raise ValueError(
                f"baseline: {self.baseline!r} is in no group of the matrix"
                f" (there: {', '.join(there)})"
            )
        return self

    @model_validator(mode="after")
    def _arms_have_a_baseline(self) -> Self:
        for index, group in enumerate(self.matrix):
            if group.has_arm and self.baseline not in group.variants:
                raise ValueError(f"matrix[{index}]: aa needs the baseline {self.baseline!r} there")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """Every variant, in the order of the file; the second arm of the baseline comes last."""
        names = [name for group in self.matrix for name in self.on_bases(group, group.variants)]
        arms = [name for group in self.matrix if group.has_arm for name in self._arms(group)]
        return tuple(dict.fromkeys([*names, *arms]))

    def on_bases(self, group: Group, variants: Iterable[str]) -> tuple[str, ...]:
        """These variants of a group by their names in the schedule, base after base."""
        bases = group.bases or self.bases or (None,)
        return tuple(on_base(variant, base) for base in bases for variant in variants)

    def _arms(self, group: Group) -> list[str]:
        return [name + ARM for name in self.on_bases(group, (self.baseline,))]

    @property
    def machines(self) -> tuple[str, ...]:
        """Every machine, in the order of the file."""
        return tuple(dict.fromkeys(m for g in self.matrix for m in g.machines))

    @property
    def clocks(self) -> tuple[Clock, ...]:
        """Every clock that anything boots by, in order."""
        return tuple(sorted({clock for group in self.matrix for clock in group.clocks}))

    @property
    def gated(self) -> bool:
        """Whether any boot goes through the correctness gate."""
        return any("fill" in (group.probes or self.probes).run for group in self.matrix)

    @property
    def counted(self) -> bool:
        """Whether the stores of any boot are counted."""
        return any(group.count_stores for group in self.matrix)

    @property
    def profiled(self) -> bool:
        """Whether the instructions of any boot are counted by function."""
        cells = (slot.cell for slot in self.schedule())
        return any(self.instrument_of(*cell) in COUNTED for cell in cells)

    def instrument_of(self, variant: str, machine: str, clock: Clock) -> Instrument:
        """What tells the phases of a cell: what the first group that has it says."""
        if clock != "work":
            return "marks"
        group = self._group_of(variant, machine, clock)
        return (group and group.instrument) or self.instrument or "marks"

    def with_instrument(self, instrument: Instrument) -> Self:
        """The same, with one instrument for all boots by the work clock."""
        groups = tuple(group.model_copy(update={"instrument": None}) for group in self.matrix)
        changed = {**self.model_dump(), "instrument": instrument, "matrix": groups}
        return type(self).model_validate(changed)

    def probes_of(self, variant: str, machine: str, clock: Clock) -> Probes:
        """What runs in the guest in a cell: what the first group that has it says."""
        group = self._group_of(variant, machine, clock)
        return (group and group.probes) or self.probes

    def taken(self, cell: tuple[str, str, Clock], memory: int) -> int:
        """Bytes of the host that user space takes in a boot, the probes among it."""
        more = self.guest.memory if self.guest else 0
        return self.probes_of(*cell).touched(memory) + more

    def counts_stores(self, variant: str, machine: str, clock: Clock) -> bool:
        """Whether the stores of a cell are counted: what the first group that has it says."""
        group = self._group_of(variant, machine, clock)
        return group is not None and group.count_stores

    def _group_of(self, variant: str, machine: str, clock: Clock) -> Group | None:
        for group in self.matrix:
            if (
                first_arm(variant) in self.on_bases(group, group.variants)
                and machine in group.machines
                and clock in group.clocks
            ):
                return group
        return None

    def schedule(self, time_blocks: int = 0) -> tuple[Slot, ...]:
        """Every boot in the order in which it will happen; at least so many timed blocks.

        Randomised complete blocks: within a block each variant of the group boots once on the
        machine, in an order drawn from the seed, the group's machines one after the other.
        """
        slots: dict[str, Slot] = {}
        for group in self.matrix:
            for machine in group.machines:
                for clock, plan in group.clocks.items():
                    blocks = max(plan.blocks, time_blocks if clock == "time" else 0)
                    for block in range(-plan.warmup, blocks):
                        for order, variant in enumerate(
                            self._shuffled(group, machine, clock, block)
                        ):
                            slot = Slot(variant, machine, clock, block, order)
                            slots.setdefault(slot.key, slot)
        return tuple(slots.values())

    def _shuffled(self, group: Group, machine: str, clock: Clock, block: int) -> list[str]:
        arms = self._arms(group) if group.clocks[clock].aa else []
        order = list(dict.fromkeys([*self.on_bases(group, group.variants), *arms]))
        random.Random(f"{self.seed}/{machine}/{clock}/{block}").shuffle(order)
        return order
