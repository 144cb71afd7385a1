# SPDX-License-Identifier: GPL-2.0-only
"""System.map: where functions are, and in which one a vCPU is."""

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


_SYMBOL = re.compile(r"([0-9a-f]{16}) [a-zA-Z] (\S+)")


def symbols_of(system_map: str) -> dict[str, int]:
    return {name: int(address, 16) for address, name in _SYMBOL.findall(system_map)}
