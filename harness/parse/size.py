# SPDX-License-Identifier: GPL-2.0-only
"""How large the guest says that it is, held against the machine that QEMU was told to be.

``mem=``, ``numa=off``, ``nr_cpus=`` or a CPU that does not come up leave a guest that runs well,
and whose figures are of another machine.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.model import Clock
from harness.model.machine import PAGE
from harness.parse.dmesg import Dmesg
from harness.units import MIB, format_size

SLACK = 64 * MIB
"""What firmware, its tables and holes take of the RAM, at most: less than a memory section."""

_BROUGHT_UP = re.compile(r"smp: Brought up (\d{1,6}) nodes?, (\d{1,6}) CPUs?")
_RANGES = "Early memory node ranges"
_RANGE = re.compile(r"node +\d{1,6}: \[mem 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\]")
_MAX_RANGES = 200_000
"""Characters of the console behind `_RANGES` that may name them."""
_NUMBER = re.compile(r"[0-9]{1,12}")
_LATE = "hotplug_init="
"""The parameter of a series whose memory comes behind the boot, bit by bit."""


@dataclass(frozen=True)
class Size:
    """CPUs, NUMA nodes and bytes of RAM; none of what is not said."""

    cpus: int | None = None
    nodes: int | None = None
    memory: int | None = None


def reported(console: Dmesg, probes: Sequence[Mapping[str, Any]] = ()) -> Size:
    """What the kernel says at boot, and the probes of what it did not say, as with ``quiet``."""
    said, later = _said(console), _probed(probes)
    return Size(said.cpus or later.cpus, said.nodes or later.nodes, said.memory or later.memory)


def _probed(probes: Sequence[Mapping[str, Any]]) -> Size:
    def number(probe: Mapping[str, Any], key: str) -> int:
        value = probe.get(key)
        return value if isinstance(value, int) and 0 <= value < 1 << 62 else 0

    hello = next((p for p in probes if p.get("probe") == "hello"), {})
    nodes = {number(p, "node") for p in probes if p.get("probe") == "node_meminfo"}
    zones = {
        (number(p, "node"), str(p.get("zone"))): number(p, "present_pages") * PAGE
        for p in probes
        if p.get("probe") == "zoneinfo"
    }
    return Size(number(hello, "cpus") or None, len(nodes) or None, sum(zones.values()) or None)


def _said(console: Dmesg) -> Size:
    cpus = nodes = memory = None
    for _, line in console.find("smp: Brought up "):
        if match := _BROUGHT_UP.search(line.text):
            nodes, cpus = int(match[1]), int(match[2])
            break
    begin = console.text.find(_RANGES)
    if begin >= 0:
        end = console.text.find("Initmem setup", begin, begin + _MAX_RANGES)
        text = console.text[begin : end if end >= 0 else begin + _MAX_RANGES]
        ranges = [(int(first, 16), int(last, 16)) for first, last in _RANGE.findall(text)]
        memory = sum(max(0, last + 1 - first) for first, last in ranges)
    return Size(cpus, nodes, memory)


def emulated(argv: Sequence[str]) -> Size:
    """What a command line of QEMU, as `harness.qemu.command` writes it, asks for."""
    pairs = list(itertools.pairwise(argv))
    nodes = [
        value
        for name, value in pairs
        if name == "-numa" and value.startswith("node,") and re.search("memdev=|cpus=", value)
    ]
    options = dict(pairs)
    cpus = _NUMBER.match(options.get("-smp", ""))
    memory = _NUMBER.fullmatch(options.get("-m", "").removesuffix("M"))
    return Size(
        int(cpus[0]) if cpus else None,
        len(nodes) or None,
        int(memory[0]) * MIB if memory else None,
    )


def shortfall(guest: Size, machine: Size, clock: Clock, command_line: str) -> str:
    """What the guest lacks of its machine, in words; nothing where it lacks nothing.

    On the work clock a machine may ask for one CPU only, by ``maxcpus=1``.
    """
    words = command_line.split()
    if clock == "work" and "maxcpus=1" in words:
        machine = replace(machine, cpus=1)
    if any(word.startswith(_LATE) for word in words):
        machine = replace(machine, memory=None)
    return "; ".join(_lacks(guest, machine))


def _lacks(guest: Size, machine: Size) -> Iterator[str]:
    if guest.cpus and machine.cpus and guest.cpus < machine.cpus:
        yield f"{guest.cpus} of the machine's {machine.cpus} CPUs came up"
    if guest.nodes and machine.nodes and guest.nodes < machine.nodes:
        yield f"the guest knows {guest.nodes} of the machine's {machine.nodes} nodes"
    if guest.memory and machine.memory and guest.memory < machine.memory - SLACK:
        have, whole = format_size(guest.memory), format_size(machine.memory)
        yield f"the guest knows {have} of the machine's {whole}"
