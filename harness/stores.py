# SPDX-License-Identifier: GPL-2.0-only
"""Stores into the memmap, as the plugin of QEMU counts them: its options, and what it wrote.

harness/plugin/stores.c writes, when QEMU ends,

    stores-by-phase 1
    mark PHASE NODE CALLS
    stores PHASE NODE CPU_NODE MEMORY_NODE PAGE_NODE STORES BYTES
    end

where PHASE is an index of the series boot-marks, -1 for what came after the boot, and a node is
-1 where there is none.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.machine import Machine
from harness.quantity import GIB, format_size
from harness.record import Phase, StoreCount

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
)
"""The phases in the order of ``enum boot_phase`` (include/linux/boot_marks.h of the series)."""

IGNORED = "hash_tables"
"""Its calls are scattered over other phases, and only their ends show: theirs are its stores."""

SCATTERED_CALLS = ("deferred_grow_zone", "init_bare_block")
"""Functions of some series whose calls lie within other phases and end in a mark of their own."""

AFTER = "user_space"
"""The name given to all that follows the boot: init and the probes."""

MAX_NODES = 8
MAX_BYTES = 1 << 20
_MARK_BYTES = 40
_FOUR_GIB = 4 * GIB
_ROW = re.compile(r"stores (-1|\d{1,2}) (-1|\d) (\d) (-1|\d) (-1|\d) (\d{1,15}) (\d{1,15})")
_MARK = re.compile(r"mark (\d{1,2}) (-1|\d) (\d{1,15})")
_SYMBOL = re.compile(r"([0-9a-f]{16}) [a-zA-Z] (\S+)")


def obstacle(machine: Machine, system_map: str) -> str | None:
    """Why stores cannot be counted on this machine with this kernel; none where they can."""
    if machine.machine != "pc" and not machine.machine.startswith("pc-i440fx"):
        return f"stores are counted on the machine type pc only, not on {machine.machine}"
    if machine.memory > 1000 * GIB or len(machine.nodes) > MAX_NODES:
        return f"stores are counted on up to {MAX_NODES} nodes and {format_size(1000 * GIB)}"
    if not _symbols(system_map).keys() >= {"boot_marks", "boot_mark_end", "boot_marks_print"}:
        return "the kernel has no boot marks, by which stores are told apart"
    return None


def ranges(machine: Machine) -> list[tuple[int, int, int]]:
    """Start, end and node of all RAM: what does not fit below the PCI hole goes above 4 GiB.

    The hole of the machine type pc begins at 3.5 GiB, or at 3 GiB where RAM reaches it
    (hw/i386/pc_piix.c).
    """
    low = 3 * GIB if machine.memory >= 7 * GIB // 2 else machine.memory
    found, at = [], 0
    for number, node in enumerate(machine.nodes):
        end = at + node.memory
        if at < min(end, low):
            found.append((at, min(end, low), number))
        if max(at, low) < end:
            found.append((max(at, low) - low + _FOUR_GIB, end - low + _FOUR_GIB, number))
        at = end
    return found


def option(plugin: Path, machine: Machine, system_map: str, out: str) -> str:
    """The value of ``-plugin`` for a machine and kernel without an `obstacle`."""
    symbols = _symbols(system_map)
    addresses = sorted(set(symbols.values()))
    marks = symbols["boot_marks"]
    columns = (_next(addresses, marks) - marks) // (_MARK_BYTES * len(MARKS))
    code = sorted((symbols["boot_mark_end"], symbols["boot_marks_print"]))
    homes = {cpu: number for number, node in enumerate(machine.nodes) for cpu in node.cpus}
    words = [
        str(plugin).replace(",", ",,"),
        f"out={out}",
        *(f"ram={a:x}-{b:x}-{node:x}" for a, b, node in ranges(machine)),
        *(f"cpu={homes[cpu]:x}" for cpu in sorted(homes)),
        f"marks={marks:x}-{len(MARKS):x}-{columns:x}",
        f"code={code[0]:x}-{_next(addresses, code[1]):x}",
        f"ignore={MARKS.index(IGNORED):x}",
        *(f"enter={symbols[name]:x}" for name in SCATTERED_CALLS if name in symbols),
    ]
    return ",".join(words)


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


def _symbols(system_map: str) -> dict[str, int]:
    return {name: int(address, 16) for address, name in _SYMBOL.findall(system_map)}


def _next(addresses: list[int], address: int) -> int:
    return addresses[addresses.index(address) + 1]
