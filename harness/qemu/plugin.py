# SPDX-License-Identifier: GPL-2.0-only
"""Plugins of QEMU, compiled by the host's gcc and kept in the cache.

`stores` counts the stores into the memmap, `idle` what the work clock moved while no CPU had
anything to do, `profile` the instructions of each function by the functions that called it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import files, process
from harness.kernel import SystemMap
from harness.model import Counting, Machine
from harness.parse import MARKS, SCATTERED, TREES, asked
from harness.parse.stores import _NEEDED
from harness.results import IDLE, PROFILE, STORES
from harness.units import GIB, format_size

SOURCES = Path(__file__).parent / "src"
HEADER = "qemu-plugin.h"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden")


@dataclass(frozen=True)
class Plugin:
    """A plugin in the cache, and the hash of its sources and the compiler."""

    path: Path
    sha256: str


def build(cache: Path, name: Literal["stores", "idle", "profile"]) -> Plugin:
    """Answers the plugin; compiles it when its source or the compiler is new.

    Raises `HostError` where there is no compiler.
    """
    env = process.environment()
    compiler = process.run(["gcc", "--version"], env=env).stdout
    digest = hashlib.sha256(b"\0".join((compiler, *(flag.encode() for flag in FLAGS))))
    for source in (HEADER, f"{name}.c"):
        digest.update(source.encode() + b"\0" + (SOURCES / source).read_bytes())
    sha256 = digest.hexdigest()

    def compile_it(out: Path) -> None:
        argv: list[str | Path] = ["gcc", *FLAGS, "-shared", "-o", out, f"{name}.c"]
        process.run(argv, cwd=SOURCES, env=env)

    with files.locked(cache / "plugin" / ".lock"):
        path = files.kept(cache / "plugin" / sha256[:16] / f"{name}.so", compile_it)
    return Plugin(path, sha256)


def idle_option(plugin: Path) -> str:
    """The value of ``-plugin`` for `idle`, on any machine with any kernel."""
    return f"{_quoted(plugin)},out={IDLE}"


def profile_option(plugin: Path, symbols: Path, counting: Counting | None = None) -> str:
    """The value of ``-plugin`` for `profile`, with a System.map of the kernel; any machine."""
    spans = "".join(f",span={name}" for name in asked())
    wanted = counting or Counting()
    counts = {"instructions": "", "stores": ",stores=on", "misses": f",misses={wanted.cache}"}
    return (
        f"{_quoted(plugin)},out={PROFILE}{spans}{counts[wanted.event]},symbols={_quoted(symbols)}"
    )


def _quoted(plugin: Path) -> str:
    return str(plugin).replace(",", ",,")


(IGNORED,) = SCATTERED
"""Its calls lie in other phases, and only their ends show: theirs are its stores."""

SCATTERED_CALLS = ("deferred_grow_zone", "init_bare_block")
"""Functions of some series whose calls lie within other phases and end in a mark of their own."""

MAX_NODES = 8
_MARK_BYTES = 40
_FOUR_GIB = 4 * GIB


def obstacle(machine: Machine, system_map: str) -> str | None:
    """Why stores cannot be counted on this machine with this kernel; none where they can."""
    if machine.machine != "pc" and not machine.machine.startswith("pc-i440fx"):
        return f"stores are counted on the machine type pc only, not on {machine.machine}"
    if machine.memory > 1000 * GIB or len(machine.nodes) > MAX_NODES:
        return f"stores are counted on up to {MAX_NODES} nodes and {format_size(1000 * GIB)}"
    if not SystemMap.read(system_map).addresses.keys() >= _NEEDED:
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


def _shape(entries: int) -> tuple[int, int]:
    """Phases, and nodes with one column more, of a table of marks: a kernel has a power of two of
    nodes, and as many phases as its base."""
    shapes = [(rows, entries // rows) for rows in sorted({len(tree) for tree in TREES.values()})]
    whole = [s for s in shapes if s[0] * s[1] == entries and (s[1] - 1).bit_count() == 1]
    return (whole or shapes)[0]


def option(plugin: Path, machine: Machine, system_map: str) -> str:
    """The value of ``-plugin`` for `stores`, on a machine and kernel without an `obstacle`."""
    known = SystemMap.read(system_map)
    symbols = known.addresses
    marks = symbols["boot_marks"]
    rows, columns = _shape((known.end(marks) - marks) // _MARK_BYTES)
    code = sorted((symbols["boot_mark_end"], symbols["boot_marks_print"]))
    homes = {cpu: number for number, node in enumerate(machine.nodes) for cpu in node.cpus}
    words = [
        _quoted(plugin),
        f"out={STORES}",
        *(f"ram={a:x}-{b:x}-{node:x}" for a, b, node in ranges(machine)),
        *(f"cpu={homes[cpu]:x}" for cpu in sorted(homes)),
        f"marks={marks:x}-{rows:x}-{columns:x}",
        f"code={code[0]:x}-{known.end(code[1]):x}",
        f"ignore={MARKS.index(IGNORED):x}",
        *(f"enter={symbols[name]:x}" for name in SCATTERED_CALLS if name in symbols),
    ]
    return ",".join(words)
