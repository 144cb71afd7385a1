# SPDX-License-Identifier: GPL-2.0-only
"""Lines to phases: from TSC marks where the kernel has them, else from printk; always the host's.

The kernel of the `boot-marks` series prints, once and late:

    boot-marks: begin version=1 tsc_khz=... now=... marks=N lost=0
    boot-marks: phase=NAME node=N|-1 start=TSC end=TSC busy=CYCLES calls=N pages=N
    boot-marks: end
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from harness.model import Clock, Phase
from harness.parse.dmesg import Dmesg, Line
from harness.parse.idle import IdleClock

MARKS = (
    "boot",
    "setup_arch",
    "vmemmap_populate",
    "memmap_init",
    "mm_core_init",
    "reserve_pages",
    "memblock_free_all",
    "hash_tables",
    "smp_init",
    "page_alloc_init_late",
    "deferred_init",
    "initcalls",
    "mm_core_init_early",
)
"""Every phase by its number in ``enum boot_phase`` (include/linux/boot_marks.h of the series): the
numbers are the same on every base, and one that came later stands behind the others."""

TREES: dict[tuple[int, int], dict[str, str]] = {
    (6, 12): {
        "boot": "",
        "setup_arch": "boot",
        "vmemmap_populate": "setup_arch",
        "memmap_init": "setup_arch",
        "mm_core_init": "boot",
        "reserve_pages": "memblock_free_all",
        "memblock_free_all": "mm_core_init",
        "hash_tables": "boot",
        "smp_init": "boot",
        "page_alloc_init_late": "boot",
        "deferred_init": "page_alloc_init_late",
        "initcalls": "boot",
    },
    (7, 3): {
        "boot": "",
        "setup_arch": "boot",
        "mm_core_init_early": "boot",
        "vmemmap_populate": "mm_core_init_early",
        "memmap_init": "mm_core_init_early",
        "mm_core_init": "boot",
        "reserve_pages": "memblock_free_all",
        "memblock_free_all": "mm_core_init",
        "hash_tables": "boot",
        "smp_init": "boot",
        "page_alloc_init_late": "boot",
        "deferred_init": "page_alloc_init_late",
        "initcalls": "boot",
    },
}
"""For each version since which it holds: the phases in the order of a boot, each with the one that
it is part of."""

ORDER = tuple(TREES[max(TREES)])
"""Every phase in the order of a boot."""
OPTIONAL = ("deferred_init",)
"""Those that not every variant has."""
WAITING = frozenset({"boot", "smp_init", "page_alloc_init_late", "deferred_init", "initcalls"})
"""Phases in which there is a scheduler, so that a CPU can wait. In the others none can."""
SCATTERED = frozenset({"hash_tables"})
"""Phases whose calls lie far apart: what they take is the sum of the calls, not the interval."""

OURS = "(pageinit@pageinit)"
"""What KBUILD_BUILD_USER and KBUILD_BUILD_HOST put into the banner of the kernels built here."""

INIT = " as init process"
ALL_MEMORY = "all memory is initialised"
"""What the series `async` prints in the end."""
MAX_MARKS = 4096

_BEGIN = re.compile(
    r"boot-marks: begin version=1 tsc_khz=(\d{1,10}) now=(\d{1,18}) marks=(\d{1,6}) lost=(\d{1,6})"
)
_MARK = re.compile(
    r"boot-marks: phase=(\w{1,40}) node=(-?\d{1,6}) start=(\d{1,18}) end=(\d{1,18})"
    r" busy=(\d{1,18}) calls=(\d{1,18}) pages=(\d{1,18})$",
    re.M,
)
_DEFERRED = re.compile(r"node (\d{1,6}) deferred pages initialised in (\d{1,9})ms")


ARM_TIMER_KHZ = 62_500
"""The rate of arm64's timer in QEMU (target/arm/internals.h, GTIMER_SCALE); 1 GHz since 9.0 (-cpu
max)."""


@dataclass(frozen=True)
class Marks:
    """The block of marks of one boot: `announced` of them, `lost` had no room.

    `now` is the TSC when the first line of the block was written, `arrival_s` when it was read.
    """

    tsc_khz: int
    now: int
    announced: int
    lost: int
    entries: tuple[tuple[str, int, int, int, int, int, int], ...]
    arrival_s: float | None = None

    @property
    def zero(self) -> int | None:
        """The TSC where the boot begins, from which all marks count."""
        return next((start for name, _, start, *_ in self.entries if name == "boot"), None)

    @property
    def tick_ns(self) -> int:
        """ns of the guest in a tick on the work clock: 1 of the TSC, 16 of arm64's timer."""
        return 16 if self.tsc_khz == ARM_TIMER_KHZ else 1

    def on_host(self, tsc: int) -> float | None:
        """A moment on the host's clock, seconds since the launch, where the TSC counts time.

        Stamps of printk are no help: before sched_clock is stable they lag behind the TSC where
        a tick comes late (kernel/sched/clock.c), by seconds when memory is initialised.
        """
        if self.arrival_s is None or not self.tsc_khz:
            return None
        return round(self.arrival_s - (self.now - tsc) / (self.tsc_khz * 1000), 6)


def read_phases(
    console: Dmesg,
    clock: Clock = "time",
    shift: int = 0,
    idle: IdleClock | None = None,
    *,
    zero: bool = False,
) -> tuple[Phase, ...]:
    """Every phase that the log tells of; empty where it tells nothing.

    With `zero` a banner stamped 0.000000 is where `boot` begins: for a log of one boot, whose begin
    no host saw.

    Marks count from the begin of `boot`: in seconds on the time clock, in instructions on the
    work clock, where the counter counts ns of the guest and an instruction takes 2^`shift`. What
    was `idle` there is taken out, where it is known.
    """
    marks = read_marks(console)
    found = _from_marks(marks, clock, shift, idle) if marks else []
    if not found:
        found = _from_printk(console, zero)
    return (*found, *_from_arrival(console))


def missing(console: Dmesg, found: tuple[Phase, ...]) -> tuple[str, ...]:
    """The marks that should be there and are not, for any kernel; empty where all came."""
    names = {phase.name for phase in found if phase.source == "mark"}
    absent = [name for name in required(console.banner or "") if name not in names]
    marks = read_marks(console)
    if marks and (marks.lost or len(marks.entries) != marks.announced):
        absent.append(f"{marks.announced + marks.lost - len(marks.entries)} marks lost")
    return tuple(absent)


def tree(banner: str) -> dict[str, str]:
    """The phases of a kernel by the version in its banner, each with the one it is part of.

    A banner without a version has those of the oldest base.
    """
    match = re.search(r"Linux version (\d{1,4})\.(\d{1,4})", banner)
    version = (int(match[1]), int(match[2])) if match else min(TREES)
    return TREES[max((since for since in TREES if since <= version), default=min(TREES))]


def required(banner: str) -> tuple[str, ...]:
    """The marks that every boot of this kernel has, where it has `boot-marks`."""
    return tuple(name for name in tree(banner) if name not in OPTIONAL)


def has_marks(console: Dmesg) -> bool:
    """Whether this kernel was built to print marks."""
    return OURS in (console.banner or "") or "boot-marks: begin" in console.text


def read_marks(console: Dmesg) -> Marks | None:
    """The first block of marks; a user space that prints the log again does not matter."""
    match = _BEGIN.search(console.text) if "boot-marks: begin" in console.text else None
    if not match:
        return None
    end = console.text.find("boot-marks: end", match.end())
    block = console.text[match.end() : end if end >= 0 else match.end() + MAX_MARKS * 200]
    entries = []
    for mark in islice(_MARK.finditer(block), MAX_MARKS):
        node, start, stop, busy, calls, pages = (int(mark[n]) for n in range(2, 8))
        if stop >= start:
            entries.append((mark[1], node, start, stop, busy, calls, pages))
    return Marks(
        tsc_khz=int(match[1]),
        now=int(match[2]),
        announced=int(match[3]),
        lost=int(match[4]),
        entries=tuple(dict.fromkeys(entries)),
        arrival_s=console.arrival(match.start()),
    )


def _from_marks(marks: Marks, clock: Clock, shift: int, idle: IdleClock | None) -> list[Phase]:
    zero, timed = marks.zero, clock == "time"
    tick = 1 if timed else marks.tick_ns
    ticks = marks.tsc_khz * 1000.0 if timed else float(1 << shift)
    if zero is None or not ticks:
        return []

    def waited(begin: int, stop: int) -> int:
        # What a coarse counter shows was written down within its tick.
        known = idle and [idle.until(at * tick + tick - 1) for at in (begin, stop)]
        return known[1] - known[0] if known else 0

    def since(tsc: int) -> float:
        return round(((tsc - zero) * tick - waited(zero, tsc)) / ticks, 9)

    return [
        Phase(
            name=name,
            node=None if node < 0 else node,
            source="mark",
            start=since(start),
            end=since(stop),
            # Where there are more calls nobody knows in which of them it was idle, or between.
            busy=round((busy * tick - (waited(start, stop) if calls == 1 else 0)) / ticks, 9),
            idle=round(waited(start, stop) / ticks, 9) if idle else None,
            calls=calls,
            pages=pages,
            host_start_s=marks.on_host(start) if timed else None,
            host_end_s=marks.on_host(stop) if timed else None,
        )
        for name, node, start, stop, busy, calls, pages in marks.entries
    ]


_UP = ("smp: Brought up ", "Brought up ")
_FREED = ("Freeing unused kernel image", "Freeing unused kernel memory", "Freeing init memory")
_LINES = (
    ("smp_init", ("smp: Bringing up secondary CPUs", "x86: Booting SMP configuration"), _UP),
    ("initcalls", _UP, _FREED),
    ("boot", ("Linux version ",), (INIT, *_FREED)),
)
"""A phase, and the lines of any kernel between which it lies: the first of them that came."""


def _from_printk(console: Dmesg, zero: bool) -> list[Phase]:
    """What lines of any kernel tell, as far as printk had a clock."""
    found = []
    for name, first, last in _LINES:
        a, b = _first(console, first), _first(console, last)
        begin = a.stamp_s if a else None
        if a and zero and name == "boot" and a.printk and begin is None and console.stamped:
            begin = 0.0
        if b and begin is not None and b.stamp_s is not None and b.stamp_s >= begin:
            found.append(Phase(name=name, source="printk", start=begin, end=b.stamp_s))
    seen: dict[int, Phase] = {}
    for _, line in console.find("deferred pages initialised in"):
        match = _DEFERRED.search(line.text)
        if match and line.stamp_s is not None and int(match[1]) not in seen:
            node, spent = int(match[1]), int(match[2]) / 1000
            seen[node] = Phase(
                name="deferred_init",
                node=node,
                source="printk",
                start=round(line.stamp_s - spent, 6),
                end=line.stamp_s,
            )
    return found + list(seen.values())


def _first(console: Dmesg, literals: tuple[str, ...]) -> Line | None:
    return next((line for literal in literals if (line := console.first(literal))), None)


def _from_arrival(console: Dmesg) -> list[Phase]:
    """What the host saw: the firmware until the banner, the kernel until user space; and until all
    memory is initialised, where the kernel says so because user space does not wait for it."""
    banner = next(console.find("Linux version "), None)
    begin = console.arrival(banner[0]) if banner else None
    if begin is None:
        return []
    found = [on_host("firmware", 0.0, begin)]
    init = next(console.find(INIT), None)
    end = console.arrival(init[0]) if init else None
    if end is not None and end >= begin:
        found.append(on_host("boot", begin, end))
    late = next(console.find(ALL_MEMORY), None)
    end = console.arrival(late[0]) if late else None
    if end is not None and end >= begin:
        found.append(on_host("all_memory", begin, end))
    return found


def on_host(name: str, start: float, end: float) -> Phase:
    """An interval on the host's clock, s since the launch."""
    return Phase(name=name, source="host", start=start, end=end, host_start_s=start, host_end_s=end)
