# SPDX-License-Identifier: GPL-2.0-only
"""What a boot will take of the host: memory, and about how long."""

from __future__ import annotations

from dataclasses import dataclass

from harness.model import Clock, Machine, MemoryModel
from harness.units import GIB, MIB

_ADAPT_BASE = 64 * GIB

_DISTRIBUTION_S = 15.0
"""What a small Debian takes to the login and for the probes, with four CPUs on two cores."""


@dataclass(frozen=True)
class Footprint:
    """What a boot will take of the host's memory, in bytes, part by part."""

    process: int
    bitmaps: int
    memmap: int
    hashes: int
    guest: int

    @property
    def total(self) -> int:
        return self.process + self.bitmaps + self.memmap + self.hashes + self.guest


def boot_seconds(need: Footprint, clock: Clock, distribution: bool) -> float:
    """About how long a boot with its probes takes under TCG: mostly, what it writes takes time.

    A fit to boots from 4 GiB to 16 TiB on two cores, good to a factor of two.
    """
    start, each = (1.3, 1.6) if clock == "time" else (4.7, 3.0)
    if distribution:
        start += _DISTRIBUTION_S
    return start + each * need.total / GIB


def footprint(machine: Machine, model: MemoryModel, touch_bytes: int) -> Footprint:
    """Predicts the peak RSS of QEMU; constants are of QEMU 7.2 with Linux 6.12 (docs/measuring.md).

    `bitmaps` are QEMU's dirty bitmaps: 1.5 GiB at 16 TiB. `hashes` are the kernel's large hash
    tables: they double where memory quadruples beyond 64 GiB (ADAPT_SCALE, mm/mm_init.c).
    """
    backed = machine.memory_backend.prealloc
    scale = machine.memory / _ADAPT_BASE
    return Footprint(
        process=200 * MIB,
        bitmaps=machine.memory * 3 // (32 << 10),
        memmap=int(machine.memmap * model.memmap_share),
        hashes=int(100 * MIB * (scale if scale < 1 else scale**0.5)),
        guest=machine.memory if backed else model.fixed + touch_bytes,
    )
