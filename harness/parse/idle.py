# SPDX-License-Identifier: GPL-2.0-only
"""What the work clock moved while no CPU had anything to do, as a plugin of QEMU tells it.

harness/qemu/src/idle.c writes

    idle-by-clock 1
    CLOCK IDLE
    ...
    end

where IDLE, ns of the guest, holds from the reading CLOCK of the TSC to that of the next line; and
`unknown` in the place of all of them where QEMU does not let a plugin see its clock.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

FIRST = "idle-by-clock 1"
MAX_BYTES = 64 << 20
_LINE = re.compile(r"(\d{1,18}) (\d{1,18})")


@dataclass(frozen=True)
class IdleClock:
    """Readings of the TSC, rising, and the ns that were idle up to each."""

    clocks: tuple[int, ...]
    idle: tuple[int, ...]

    def until(self, tsc: int) -> int:
        """ns that were idle before the TSC was read."""
        at = bisect_right(self.clocks, tsc)
        return self.idle[at - 1] if at else 0

    def after(self, executed: int) -> int:
        """ns that were idle when so many had been executed, ns that instructions took."""
        at = bisect_right(self._executed, executed)
        return self.idle[at - 1] if at else 0

    @cached_property
    def _executed(self) -> tuple[int, ...]:
        return tuple(clock - idle for clock, idle in zip(self.clocks, self.idle, strict=True))


def read(data: bytes) -> tuple[IdleClock | None, str | None]:
    """What was idle, nothing where QEMU did not tell; and what is wrong with it."""
    lines = data[:MAX_BYTES].decode("ascii", "replace").split("\n")
    if lines[0] != FIRST or lines[-2:] != ["end", ""]:
        return None, "no record of what was idle, or not all of it"
    if lines[1:-2] == ["unknown"]:
        return None, None
    found = [_LINE.fullmatch(line) for line in lines[1:-2]]
    pairs = [(int(match[1]), int(match[2])) for match in found if match]
    if len(pairs) < len(found) or any(a[0] >= b[0] or a[1] >= b[1] for a, b in pairwise(pairs)):
        return None, "what was idle does not rise from line to line"
    return IdleClock(tuple(a for a, _ in pairs), tuple(b for _, b in pairs)), None
