# SPDX-License-Identifier: GPL-2.0-only
"""The machine under test: NUMA nodes, their CPUs and memory, as QEMU emulates them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from harness.model.arch import ARCHS, Arch, ArchName
from harness.model.schema import Model, Name, Parameter, Word
from harness.units import Cpus, Size, exact_size, format_cpus, format_size

SECTION = 128 << 20
"""Bytes in a memory section (SECTION_SIZE_BITS 27: arch/x86/include/asm/sparsemem.h, and that of
arm64 with pages of 4 KiB)."""

PAGE = 4096
STRUCT_PAGE = 64
"""Bytes of `struct page` with 64 bits (include/linux/mm_types.h); the memmap is RAM/64."""

MAX_PHYS_BITS = 46
"""Where x86-64 4-level paging ends: 64 TiB (MAX_POSSIBLE_PHYSMEM_BITS); arm64 reaches further."""

LOCAL_DISTANCE = 10
"""LOCAL_DISTANCE of include/linux/topology.h; ACPI's SLIT demands it on the diagonal."""

UNREACHABLE = 255

Accel = Literal["kvm", "tcg"]


class Node(Model):
    """One NUMA node. A node without CPUs or without memory is legal."""

    cpus: Cpus = ()
    """CPUs of the node, as `0-3,8`; none for a node of memory alone"""
    memory: Size = 0
    """RAM of the node, a multiple of 128MiB; none for a node of CPUs alone"""

    @field_validator("memory")
    @classmethod
    def _whole_sections(cls, value: int) -> int:
        if value % SECTION:
            raise ValueError(
                f"{exact_size(value)} is no multiple of a memory section ({exact_size(SECTION)})"
            )
        return value


class Distances(Model):
    """One distance for a node to itself and one for every other pair."""

    local: int = LOCAL_DISTANCE
    """distance of a node to itself; ACPI allows 10 only"""
    remote: int = 20
    """distance of every other pair, 11 to 255"""


class MemoryBackend(Model):
    """How QEMU backs guest memory; `reserve: false` is what lets 16 TiB start on a small host."""

    type: Literal["ram", "memfd"] = "ram"
    """`memory-backend-ram` or `memory-backend-memfd` of QEMU"""
    reserve: bool = False
    """whether the host sets swap space aside for all of it"""
    prealloc: bool = False
    """whether QEMU touches all of it before the guest starts"""


class WorkClock(Model):
    """Options of the work clock: one guest instruction is 2^`shift` ns of guest time."""

    shift: int = Field(default=0, ge=0, le=10)
    """an instruction takes 2^shift ns of guest time"""
    one_cpu: bool = False
    """bring up one CPU only (`maxcpus=1`), for kernels that get stuck here"""


class Machine(Model):
    """One file of qemu-configs/. Each fact is stated once; the rest is derived from the nodes."""

    name: Name
    description: str
    """what the machine is, in a sentence"""
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=128)
    """NUMA nodes; the place in the list is the number of the node"""
    distances: Distances | tuple[tuple[int, ...], ...] = Distances()
    """one pair for all, or a square symmetric matrix with 10 on its diagonal"""
    # As long as nobody says otherwise, a lock is what it was before the key existed.
    arch: ArchName = Field(default="x86_64", exclude_if=lambda name: name == "x86_64")
    """`x86_64`, or `arm64`: what its CPUs run; its kernels come from a base that says the same"""
    machine: Word = "pc"
    """machine type of QEMU"""
    cpu: Word = "max"
    """CPU model of QEMU; the physical address bits follow from the memory"""
    accel: Accel | Literal["auto"] = "auto"
    """`auto` takes KVM where a probe boot came to user space under it, else TCG"""
    memory_backend: MemoryBackend = MemoryBackend()
    """how QEMU backs the memory of the nodes"""
    thp: bool = False
    """whether QEMU may use transparent huge pages of the host"""
    boot: tuple[Parameter, ...] = ()
    """kernel parameters of this machine, one an item"""
    deadline_s: float = Field(default=120, gt=0)
    """longest boot, probes included, as for hardware: TCG multiplies it"""
    work_clock: WorkClock = WorkClock()
    """options of the work clock"""
    extra_args: tuple[Word, ...] = ()
    """more arguments of QEMU, one word an item"""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: dict[int, int] = {}
        for number, node in enumerate(self.nodes):
            for cpu in node.cpus:
                if cpu in seen:
                    raise ValueError(
                        f"nodes[{number}].cpus: CPU {cpu} is in nodes[{seen[cpu]}] already"
                    )
                seen[cpu] = number
        if sorted(seen) != list(range(len(seen))) or not seen:
            raise ValueError(f"nodes: CPUs must be 0..N without a gap, not {format_cpus(seen)!r}")
        if not self.memory:
            raise ValueError("nodes: no node has memory")
        if not self.machine.startswith(self.architecture.boards):
            known = " or ".join(self.architecture.boards)
            raise ValueError(f"machine: {self.machine!r} is no board of {self.arch}: {known}")
        if self.accel == "kvm" and not self.architecture.native:
            raise ValueError(f"accel: KVM runs no kernel of {self.arch} on this host; `tcg` does")
        if self.phys_bits > MAX_PHYS_BITS:
            raise ValueError(
                f"nodes: {format_size(self.memory)} needs {self.phys_bits} physical address bits;"
                f" 4-level paging has {MAX_PHYS_BITS} (64TiB)"
            )
        _check_distances(self.distance_matrix, len(self.nodes))
        return self

    @property
    def architecture(self) -> Arch:
        """What `arch` names."""
        return ARCHS[self.arch]

    @property
    def memory(self) -> int:
        """Bytes of RAM over all nodes."""
        return sum(node.memory for node in self.nodes)

    @property
    def pages(self) -> int:
        return self.memory // PAGE

    @property
    def memmap(self) -> int:
        """Bytes of `struct page` that describe all RAM."""
        return self.pages * STRUCT_PAGE

    @property
    def cpus(self) -> int:
        return sum(len(node.cpus) for node in self.nodes)

    @property
    def phys_bits(self) -> int:
        """Physical address bits that the guest is given: 40, as QEMU does, or what it needs."""
        return max(40, self.address_bits)

    @property
    def address_bits(self) -> int:
        """Physical address bits that the RAM needs, holes below 4 GiB and at 1 TiB included.

        QEMU moves RAM above 1 TiB when it would overlap the HyperTransport hole there
        (hw/i386/pc.c, AMD_HT_START), so the top lies up to 1 TiB + 1 GiB above the size.
        """
        top = self.memory + (1 << 30)
        if top > 1012 << 30:
            top += 1 << 40
        return (top - 1).bit_length()

    @property
    def distance_matrix(self) -> tuple[tuple[int, ...], ...]:
        """Distances between all nodes, row by row."""
        if not isinstance(self.distances, Distances):
            return self.distances
        near, far = self.distances.local, self.distances.remote
        size = range(len(self.nodes))
        return tuple(tuple(near if a == b else far for b in size) for a in size)


def _check_distances(matrix: tuple[tuple[int, ...], ...], nodes: int) -> None:
    if len(matrix) != nodes or any(len(row) != nodes for row in matrix):
        raise ValueError(f"distances: need a square matrix of {nodes} rows for {nodes} nodes")
    for a, row in enumerate(matrix):
        for b, value in enumerate(row):
            if a == b and value != LOCAL_DISTANCE:
                raise ValueError(f"distances[{a}][{a}]: a node is {LOCAL_DISTANCE} from itself")
            if a != b and not LOCAL_DISTANCE < value <= UNREACHABLE:
                raise ValueError(f"distances[{a}][{b}]: {value} is not in 11..{UNREACHABLE}")
            if value != matrix[b][a]:
                raise ValueError(
                    f"distances[{a}][{b}]: {value}, but distances[{b}][{a}] is {matrix[b][a]};"
                    " make the matrix symmetric"
                )
