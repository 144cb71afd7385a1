# SPDX-License-Identifier: GPL-2.0-only
"""Where the vCPUs are, from what QEMU's monitor shows of their registers. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right


def resolve(registers: str, system_map: str) -> str:
    """Where each vCPU is: RIP as symbol+offset where `system_map` tells, else as an address."""
    symbols: list[tuple[int, str]] = []
    for line in system_map.splitlines():
        address, kind, name = (*line.split(" ", 2), "", "")[:3]
        if kind in ("t", "T", "w", "W") and re.fullmatch(r"[0-9a-f]{16}", address):
            symbols.append((int(address, 16), name))
    symbols.sort()
    found = []
    for number, rip in enumerate(re.findall(r"\b[RE]IP=([0-9a-f]{8,16})\b", registers)):
        pointer = int(rip, 16)
        at = bisect_right(symbols, (pointer, "\x7f")) - 1
        inside = at >= 0 and pointer - symbols[at][0] < 1 << 20
        place = f"{symbols[at][1]}+{pointer - symbols[at][0]:#x}" if inside else f"{pointer:#x}"
        found.append(f"cpu{number}: {place}")
    return ", ".join(found)
