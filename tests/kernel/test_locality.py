# SPDX-License-Identifier: GPL-2.0-only
"""Stores counted for real: by whom, where to, and without a trace in what is measured."""

import re
from pathlib import Path

import pytest

from harness.cli import main
from harness.dataset.dataset import load_tables
from harness.qemu import plugin
from tests.support.real import ROOT

MACHINE = "quad-8g"
PAGES = (8 << 30) // 4096
EXPERIMENT = """
description: who stores where
baseline: eager
matrix:
  - variants: [eager, deferred, on-demand]
    machines: [quad-8g]
    clocks: {work: {blocks: BLOCKS}}
    count_stores: COUNT
probes: {run: [meminfo, touch], touch_bytes: 16MiB, touch_threads: 4}
"""


@pytest.fixture(scope="module")
def folders(project, tmp_path_factory) -> dict[str, Path]:
    """The same boots, counted (twice) and plain."""
    top = tmp_path_factory.mktemp("locality")
    found = {}
    for name, count, blocks in (("counted", "true", "2"), ("plain", "false", "1")):
        text = EXPERIMENT.replace("COUNT", count).replace("BLOCKS", blocks)
        (top / f"{name}.yaml").write_text(text)
        words = ["--root", str(ROOT), "--cache", str(project.cache), "run"]
        assert main([*words, str(top / f"{name}.yaml"), "--results", str(top)]) == 0
        (found[name],) = (top / name).iterdir()
    return found


@pytest.fixture(scope="module")
def counts(folders):
    found = load_tables(folders["counted"])["stores"]
    return found[found["block"] == 0]


def rows(counts, variant: str, phase: str):
    return counts[(counts["variant"] == variant) & (counts["phase"] == phase)]


def test_the_boot_cpu_stores_the_whole_memmap_and_every_byte_of_it_once(counts):
    found = rows(counts, "eager", "memmap_init")
    assert set(found["cpu_node"]) == {0}
    assert found["bytes"].sum() == pytest.approx(PAGES * 64, rel=0.001)
    by_memory = found.groupby("memory_node")["bytes"].sum()
    assert all(by_memory[node] == pytest.approx(PAGES * 16, rel=0.001) for node in range(4))


def test_init_threads_store_to_their_own_node(counts):
    found = rows(counts, "deferred", "deferred_init")
    assert set(found["node"]) == {0, 1, 2, 3}
    local = (found["cpu_node"] == found["node"]) & (found["memory_node"] == found["node"])
    assert found.loc[local, "stores"].sum() > 0.999 * found["stores"].sum()
    for node in range(4):
        mine = found[found["node"] == node]["bytes"].sum()
        assert mine > 0.5 * PAGES * 16


def test_a_scattered_call_has_its_own_stores_and_no_others(counts, folders):
    found = rows(counts, "on-demand", "deferred_init").groupby("node")["stores"].sum()
    phases = load_tables(folders["counted"])["phases"]
    marks = phases[(phases["phase"] == "deferred_init") & (phases["block"] == 0)]
    calls = marks[marks["variant"] == "on-demand"].set_index("node")["calls"]
    assert calls.sum() > 4
    # One call initialises 1023 pages, the same way each time.
    assert len(set(found / calls)) == 1 and 9 * 1023 < found.iloc[0] / calls.iloc[0] < 12 * 1023


def test_every_struct_page_lies_on_the_node_of_its_page(counts):
    assert counts["memory_node"].notna().all() and counts["page_node"].notna().all()
    assert (counts["memory_node"] == counts["page_node"]).all()


def test_the_nodes_lie_where_the_kernel_finds_them(folders, project):
    console = (folders["counted"] / "runs/eager" / MACHINE / "work/000/console.log").read_text()
    told = re.findall(r"SRAT: Node (\d+) PXM \d+ \[mem 0x(\w+)-0x(\w+)\]", console)
    found = {(int(start, 16), int(end, 16) + 1, int(node)) for node, start, end in told}
    # The kernel is told of a hole at 640 KiB too, which is of no node's.
    found = {(0 if start == 1 << 20 else start, end, n) for start, end, n in found if end > 1 << 20}
    assert found == set(plugin.ranges(project.machine(MACHINE)))


@pytest.mark.parametrize("variant", ["eager", "deferred"])
def test_the_counts_repeat_up_to_the_end_of_the_boot(folders, variant):
    texts = [
        (folders["counted"] / "runs" / variant / MACHINE / f"work/{block}/stores.txt").read_text()
        for block in ("000", "001")
    ]
    first, second = ([s for s in t.splitlines() if " -1 -1 " not in s[:13]] for t in texts)
    assert len(first) > 50 and first == second


@pytest.mark.parametrize("variant", ["eager", "deferred"])
def test_counting_changes_no_instruction(folders, variant):
    one, other = (f / "runs" / variant / MACHINE / "work/000" for f in folders.values())
    assert (one / "probes.jsonl").read_bytes() == (other / "probes.jsonl").read_bytes()
    marks = [
        [line for line in (folder / "console.log").read_text().splitlines() if "boot-marks" in line]
        for folder in (one, other)
    ]
    assert len(marks[0]) > 15 and marks[0] == marks[1]
