# SPDX-License-Identifier: GPL-2.0-only
"""The plugin that counts stores, and where it is told that things are."""

import subprocess
from pathlib import Path

import pytest

from harness.model.machine import Machine
from harness.qemu import plugin
from tests.support.boots import SYSTEM_MAP
from tests.support.checkout import ROOT

G = 1 << 30


def machine(*sizes: str, **more: object) -> Machine:
    nodes = [{"cpus": n, "memory": size} for n, size in enumerate(sizes)]
    return Machine.parse({"name": "m", "description": "m", "nodes": nodes, **more}, "m")


def test_ram_that_does_not_fit_below_the_hole_lies_above_4_gib():
    four = machine("4GiB", "4GiB", "4GiB", "4GiB")
    assert plugin.ranges(four) == [
        (0, 3 * G, 0),
        (4 * G, 5 * G, 0),
        (5 * G, 9 * G, 1),
        (9 * G, 13 * G, 2),
        (13 * G, 17 * G, 3),
    ]
    assert plugin.ranges(machine("1GiB", "2GiB")) == [(0, G, 0), (G, 3 * G, 1)]
    assert plugin.ranges(machine("2GiB", "0", "2GiB")) == [
        (0, 2 * G, 0),
        (2 * G, 3 * G, 2),
        (4 * G, 5 * G, 2),
    ]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "qemu-configs").glob("*.yaml")), ids=lambda p: p.stem
)
def test_no_ram_is_lost_between_ranges(path):
    found = Machine.load(path)
    sizes = [0] * len(found.nodes)
    last = 0
    for start, end, node in plugin.ranges(found):
        assert last <= start < end and not 3 * G < end - 1 < 4 * G
        sizes[node] += end - start
        last = end
    assert sizes == [node.memory for node in found.nodes]


def test_the_options_say_where_everything_is():
    words = plugin.option(Path("/a,b/stores.so"), machine("4GiB", "4GiB"), SYSTEM_MAP)
    assert words == (
        "/a,,b/stores.so,out=stores.txt,ram=0-c0000000-0,ram=100000000-140000000-0,"
        "ram=140000000-240000000-1,cpu=0,cpu=1,marks=ffffffff81a100a0-c-81,"
        "code=ffffffff81000b30-ffffffff81000cd0,ignore=7,enter=ffffffff8197dcb0"
    )


def test_what_cannot_be_counted_is_told():
    four = machine("4GiB", "4GiB")
    assert plugin.obstacle(four, SYSTEM_MAP) is None
    assert "no boot marks" in plugin.obstacle(four, SYSTEM_MAP.replace("boot_marks_print", "x"))
    assert "not on q35" in plugin.obstacle(machine("4GiB", machine="q35"), SYSTEM_MAP)
    assert "up to 8 nodes" in plugin.obstacle(machine(*["1GiB"] * 9), SYSTEM_MAP)
    assert "1000GiB" in plugin.obstacle(machine("1TiB"), SYSTEM_MAP)


@pytest.mark.parametrize("name", ["stores", "idle", "profile"])
def test_the_plugin_compiles_once_and_is_one(tmp_path, name):
    first = plugin.build(tmp_path, name)
    stamp = first.path.stat().st_mtime_ns
    assert plugin.build(tmp_path, name) == first and first.path.stat().st_mtime_ns == stamp
    said = subprocess.run(["nm", "-D", first.path], capture_output=True, text=True, check=True)
    defined = {line.split()[-1] for line in said.stdout.splitlines() if " U " not in line}
    assert {"qemu_plugin_install", "qemu_plugin_version"} <= defined
