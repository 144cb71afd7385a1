# SPDX-License-Identifier: GPL-2.0-only
"""Stores into the memmap, as the plugin of QEMU counts them: its options, and what it wrote.

harness/qemu/src/stores.c writes, when QEMU ends,

    stores-by-phase 1
    mark PHASE NODE CALLS
    stores PHASE NODE CPU_NODE MEMORY_NODE PAGE_NODE STORES BYTES
    end

where PHASE is an index of the series boot-marks, -1 for what came after the boot, and a node is
-1 where there is none.
"""

from __future__ import annotations

import re

from harness.model import Phase, StoreCount
from harness.parse.phases import MARKS

AFTER = "user_space"
"""The name given to all that follows the boot: init and the probes."""
MAX_BYTES = 1 << 20
_NEEDED = {"boot_marks", "boot_mark_end", "boot_marks_print"}
_ROW = re.compile(r"stores (-1|\d{1,2}) (-1|\d) (\d) (-1|\d) (-1|\d) (\d{1,15}) (\d{1,15})")
_MARK = re.compile(r"mark (\d{1,2}) (-1|\d) (\d{1,15})")


def read(data: bytes, phases: tuple[Phase, ...]) -> tuple[tuple[StoreCount, ...], str | None]:
    """The counts, and what is wrong with them: they are none then.

    The plugin has seen as many calls of each mark as the kernel has printed, or it has seen
    something else.
    """
    lines = data[:MAX_BYTES].decode("ascii", "replace").split("\n")
    if lines[0] != "stores-by-phase 1" or lines[-2:] != ["end", ""]:
        return (), "no counts of stores, or not all of them"
    found, marks = [], {}
    for line in lines[1:-2]:
        if match := _MARK.fullmatch(line):
            marks[_phase(int(match[1])), _node(match[2])] = int(match[3])
        elif match := _ROW.fullmatch(line):
            found.append(_count(match))
        else:
            return (), f"cannot read {line[:80]!r}"
    printed = {(p.name, p.node): p.calls for p in phases if p.source == "mark"}
    if printed and printed != marks:
        differs = sorted({str(key) for key in printed.items() ^ marks.items()})
        return (), f"the marks counted are not those printed: {', '.join(differs)[:200]}"
    return tuple(found), None


def _count(match: re.Match[str]) -> StoreCount:
    return StoreCount(
        phase=_phase(int(match[1])),
        node=_node(match[2]),
        cpu_node=int(match[3]),
        memory_node=_node(match[4]),
        page_node=_node(match[5]),
        stores=int(match[6]),
        bytes=int(match[7]),
    )


def _phase(index: int) -> str:
    return AFTER if index < 0 else MARKS[index] if index < len(MARKS) else f"phase_{index}"


def _node(word: str) -> int | None:
    return None if word == "-1" else int(word)
