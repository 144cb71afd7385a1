# SPDX-License-Identifier: GPL-2.0-only
"""CPU time of the whole host, of which a boot is to have all that it asks for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.record import HostSample, Neighbours

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CpuTime:
    """Seconds since the host started, of all its CPUs together."""

    busy_s: float
    steal_s: float
    """wanted by a CPU of ours, and given to another machine by the hypervisor below us"""

    @classmethod
    def parse(cls, text: str) -> CpuTime | None:
        """The first line of /proc/stat (proc(5)); none where it has another form."""
        name, _, rest = text.partition("\n")[0].partition(" ")
        fields = rest.split()
        if name != "cpu" or len(fields) < 8 or not all(map(str.isdigit, fields)):
            return None
        # Time of guests is in user and nice.
        seconds = [int(ticks) / _TICKS for ticks in fields[:8]]
        user, nice, system, _, _, irq, softirq, steal = seconds
        return cls(user + nice + system + irq + softirq, steal)

    @classmethod
    def now(cls) -> CpuTime | None:
        """None where the host does not tell."""
        try:
            return cls.parse(Path("/proc/stat").read_text(encoding="ascii"))
        except OSError:
            return None


def neighbours(before: CpuTime | None, samples: Sequence[HostSample]) -> Neighbours | None:
    """What was done since `before` beside the process of these samples; none where untold."""
    after = CpuTime.now()
    if before is None or after is None or not samples:
        return None
    own_s = samples[-1].user_s + samples[-1].system_s
    # Each figure is rounded to a tick by itself.
    return Neighbours(
        others_s=round(max(0.0, after.busy_s - before.busy_s - own_s), 2),
        steal_s=round(max(0.0, after.steal_s - before.steal_s), 2),
    )
