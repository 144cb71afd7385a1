# SPDX-License-Identifier: GPL-2.0-only
"""A guest that is smaller than its machine."""

import pytest

from harness.model import Machine
from harness.parse import dmesg
from harness.parse.size import Size, emulated, reported, shortfall
from harness.qemu.command import CommandLine, Qemu, render
from tests.support.checkout import ROOT

GIB = 1 << 30
CONSOLE = """\
[    0.001000] Early memory node ranges
[    0.001000]   node   0: [mem 0x0000000000001000-0x000000000009efff]
[    0.001000]   node   0: [mem 0x0000000000100000-0x000000003fffffff]
[    0.001000]   node   1: [mem 0x0000000040000000-0x{end:016x}]
[    0.001000] Initmem setup node 0 [mem 0x0000000000001000-0x000000003fffffff]
[    0.401000] smp: Brought up {nodes} node{s}, {cpus} CPUs
"""


def console(*, cpus: int = 8, nodes: int = 2, end: int = 2 * GIB - 1) -> dmesg.Dmesg:
    text = CONSOLE.format(cpus=cpus, nodes=nodes, s="s" * (nodes > 1), end=end)
    return dmesg.read(text.encode())


def machine(**more: object) -> Machine:
    nodes = [{"cpus": "0-3", "memory": "1GiB"}, {"cpus": "4-7", "memory": "1GiB"}]
    return Machine.parse({"name": "m", "description": "d", "nodes": nodes, **more}, "m")


def line(machine: Machine) -> list[str]:
    qemu = Qemu("qemu", (7, 2, 0))
    return render(CommandLine(machine, ROOT, ROOT, "time", "tcg", qemu))


WHOLE = emulated(line(machine()))


def test_a_machine_is_read_from_the_line_that_started_it():
    assert Size(8, 2, 2 * GIB) == WHOLE
    nodes = [{"cpus": 0, "memory": "1GiB"}, {"memory": "128MiB"}, {"cpus": 1}, {}]
    assert emulated(line(machine(nodes=nodes))) == Size(2, 3, GIB + (128 << 20))
    assert emulated(["-smp", "x", "-m", "2G"]) == Size()
    assert emulated([]) == Size()


@pytest.mark.parametrize(
    ("said", "lacks"),
    [
        ({}, ""),
        ({"cpus": 2}, "2 of the machine's 8 CPUs came up"),
        ({"nodes": 1}, "the guest knows 1 of the machine's 2 nodes"),
        ({"end": 3 * GIB // 2 - 1}, "the guest knows 1.5GiB of the machine's 2GiB"),
        ({"cpus": 1, "nodes": 1}, "1 of the machine's 8 CPUs came up; the guest knows 1 of"),
    ],
)
def test_what_the_kernel_says_is_held_against_the_machine(said, lacks):
    found = shortfall(reported(console(**said)), WHOLE, "time", "console=ttyS0")
    assert found.startswith(lacks) and bool(found) == bool(lacks)


def test_one_cpu_on_the_work_clock_and_memory_that_comes_late_are_asked_for():
    one = reported(console(cpus=1))
    assert shortfall(one, WHOLE, "work", "a maxcpus=1 b") == ""
    assert shortfall(one, WHOLE, "work", "a") != ""
    assert shortfall(one, WHOLE, "time", "maxcpus=1") != ""
    late = Size(8, 2, GIB)
    assert shortfall(late, WHOLE, "time", "hotplug_init=late") == ""
    assert shortfall(late, WHOLE, "time", "mem=1G") != ""


def test_a_quiet_kernel_is_known_by_its_probes():
    zone = {"probe": "zoneinfo", "zone": "Normal", "present_pages": 1 << 17}
    probes = [
        {"probe": "hello", "cpus": 2},
        {"probe": "node_meminfo", "node": 0},
        {**zone, "node": 0},
        {**zone, "node": 0},
        {**zone, "node": 1},
    ]
    assert reported(dmesg.read(b""), probes) == Size(2, 1, GIB)
    assert reported(dmesg.read(b""), [{"probe": "hello", "cpus": "x"}]) == Size()
    assert reported(dmesg.read(b""), [{"probe": "zoneinfo", "present_pages": 1e400}]) == Size()
    assert (
        shortfall(Size(), WHOLE, "time", "") == "" == shortfall(Size(1, 1, 1), Size(), "time", "")
    )


def test_a_guest_that_lies_is_no_error():
    for text in (
        b"Early memory node ranges\nnode 0: [mem 0xf-0x0]",
        b"smp: Brought up 0 nodes, 0 CPUs",
    ):
        shortfall(reported(dmesg.read(text)), WHOLE, "time", "")


@pytest.mark.parametrize("name", ["eager-16g", "grow-1t", "debian-6.12-numa-good"])
def test_recorded_consoles_are_of_whole_machines(name):
    found = reported(dmesg.read((ROOT / f"tests/golden/console/{name}.log").read_bytes()))
    assert found.cpus and found.nodes and found.memory
