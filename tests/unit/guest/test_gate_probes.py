# SPDX-License-Identifier: GPL-2.0-only
"""The probes of the correctness gate, compiled and run here on copies of /proc and /sys.

No test hands the root of this machine to a probe: they take memory offline, and all that is free.
"""

import json
import struct
import subprocess

import pytest

from harness.guest import initramfs

BLOCK = 1024
BUDDY, LRU, RESERVED, NOPAGE, HWPOISON = 1 << 10, 1 << 5, 1 << 32, 1 << 20, 1 << 19
ACTING = ("block", "compact", "fill")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("guest") / "probe"
    initramfs.compile_program("probe.c", path)
    return path


@pytest.fixture
def probe(program, tmp_path):
    """Runs one probe on the copy in `tmp_path`; answers its objects and its exit status."""

    def run(name: str) -> tuple[list[dict], int]:
        argv = [program, name, tmp_path]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    return run


def memory(root, nodes: dict[int, int], size: int = BLOCK * 4096) -> None:
    """Memory blocks of `size` bytes, each with its node."""
    folder = root / "sys/devices/system/memory"
    folder.mkdir(parents=True)
    (folder / "block_size_bytes").write_text(f"{size:x}\n")
    for number, node in nodes.items():
        (folder / f"memory{number}" / f"node{node}").mkdir(parents=True)
        (folder / f"memory{number}/state").write_text("online\n")


def meminfo(root, node: int, total: int, free: int) -> None:
    folder = root / f"sys/devices/system/node/node{node}"
    folder.mkdir(parents=True)
    text = f"Node {node} MemTotal: {total} kB\nNode {node} MemFree: {free} kB\n"
    (folder / "meminfo").write_text(text)


def pages(root, flags: list[int], mapped: dict[int, int] | None = None) -> None:
    (root / "proc").mkdir(exist_ok=True)
    counts = [(mapped or {}).get(pfn, 0) for pfn in range(len(flags))]
    for name, words in (("kpageflags", flags), ("kpagecount", counts)):
        (root / "proc" / name).write_bytes(struct.pack(f"<{len(words)}Q", *words))


@pytest.mark.parametrize("root", ["", "/", "//", "/.", "./"])
@pytest.mark.parametrize("name", [*ACTING, "huge", "oom", "walk", "cma"])
def test_no_probe_acts_on_the_machine_it_is_tried_on(program, name, root, tmp_path):
    # With no descriptor to open a file a probe can do no harm, even if it should not refuse.
    argv = ["prlimit", "--nofile=3:3", program, name, root]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("name", ["huge", "oom", "walk", "cma"])
def test_what_a_copy_does_not_hold_back_runs_in_a_guest_only(program, name, tmp_path):
    argv = ["prlimit", "--nofile=3:3", program, name, tmp_path]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")


def test_census_counts_each_page_once_and_by_node(probe, tmp_path):
    memory(tmp_path, {0: 0, 1: 2})
    pages(tmp_path, [BUDDY] * 1000 + [RESERVED] * 20 + [LRU] * 4 + [NOPAGE] * 1024)
    nodes, status = probe("census")
    assert status == 0
    assert [(n["node"], n["pages"]) for n in nodes] == [(0, 1024), (2, 1024)]
    assert (nodes[0]["buddy_pages"], nodes[0]["reserved_pages"], nodes[0]["lru_pages"]) == (
        1000,
        20,
        4,
    )
    assert nodes[1]["nopage_pages"] == 1024
    assert not any(n["lost_blocks"] or n["free_mapped_pages"] for n in nodes)


def test_census_finds_a_block_that_nobody_has(probe, tmp_path):
    memory(tmp_path, {0: 0, 1: 0, 2: 0})
    # The second block has no flag anywhere, the third has one page that is somebody's.
    pages(tmp_path, [BUDDY] * BLOCK + [0] * BLOCK + [0] * (BLOCK - 1) + [LRU])
    (node,), _ = probe("census")
    assert (node["lost_blocks"], node["first_lost_pfn"]) == (1, BLOCK)
    assert node["bare_pages"] == 2 * BLOCK - 1


def test_census_finds_a_free_page_that_counts_as_mapped(probe, tmp_path):
    memory(tmp_path, {0: 0})
    pages(tmp_path, [BUDDY] * BLOCK, {512: 1, 700: 1})
    (node,), _ = probe("census")
    assert (node["free_mapped_pages"], node["first_free_mapped_pfn"]) == (2, 512)


def test_census_does_not_take_a_short_file_for_all_pages(probe, tmp_path):
    memory(tmp_path, {0: 0, 1: 0})
    pages(tmp_path, [BUDDY] * BLOCK)
    objects, status = probe("census")
    assert status == 1
    assert objects[-1]["error"] == "cannot read all pages"


def test_freelist_adds_up_orders_and_types(probe, tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/buddyinfo").write_text(
        "Node 0, zone      DMA      1      0      2 \nNode 3, zone   Normal      0      5      1 \n"
    )
    (tmp_path / "proc/pagetypeinfo").write_text(
        # As the kernel prints it, one node after the other.
        "Page block order: 9\nPages per block:  512\n\n"
        "Free pages count per migrate type at order       0      1      2 \n"
        "Node    0, zone      DMA, type    Unmovable      1      0      0 \n"
        "Node    0, zone      DMA, type      Movable      0      0      2 \n\n"
        "Number of blocks type     Unmovable      Movable \n"
        "Node 0, zone      DMA            1            7 \n"
        "Page block order: 9\nPages per block:  512\n\n"
        "Free pages count per migrate type at order       0      1      2 \n"
        "Node    3, zone   Normal, type      Movable      0     >5      1 \n\n"
        "Number of blocks type     Unmovable      Movable \n"
        "Node 3, zone   Normal            0          100 \n"
    )
    (tmp_path / "proc/zoneinfo").write_text(
        "Node 0, zone      DMA\n  pages free     9\nNode 3, zone   Normal\n  pages free     15\n"
    )
    zones, status = probe("freelist")
    assert status == 0
    assert [z["free_pages"] for z in zones] == [9, 15]
    assert [(z["node"], z["zone"], z["buddy_pages"], z["typed_pages"]) for z in zones] == [
        (0, "DMA", 9, 9),
        (3, "Normal", 14, 14),
    ]
    assert [z["block_pages"] for z in zones] == [8 * 512, 100 * 512]


@pytest.mark.parametrize("name", ["census", "freelist", "fill"])
def test_a_probe_that_cannot_read_says_so(probe, name):
    objects, status = probe(name)
    assert status == 1
    assert objects[0]["probe"] == name and "reason" in objects[0]


@pytest.mark.parametrize(("node", "astray"), [(0, 0), (1, 1)])
def test_fill_writes_verifies_and_knows_where_pages_are(probe, tmp_path, node, astray):
    meminfo(tmp_path, 0, 64 << 10, 50 << 10)
    # One block holds all memory of any machine: the node it links to is where all pages lie.
    memory(tmp_path, {0: node}, 1 << 46)
    (fill,), status = probe("fill")
    if "reason" in fill:
        pytest.skip(f"memory cannot be bound to a node here: {fill['reason']}")
    assert status == 0
    assert fill["filled_bytes"] == fill["refilled_bytes"] == (2 << 20) - (64 << 20) // 128
    assert (fill["wrong_pages"], fill["dirty_pages"], fill["mislabelled_pages"]) == (0, 0, 0)
    assert fill["astray_pages"] == astray * fill["filled_bytes"] // 4096


def test_a_block_that_takes_no_memory_away_fails(probe, tmp_path):
    meminfo(tmp_path, 0, 8 << 10, 4 << 10)
    memory(tmp_path, {0: 0, 1: 0})
    (check,), status = probe("block")
    assert (status, check["check"], check["result"]) == (1, "memory-blocks", "fail")
    assert "memory1 took 0 MiB" in check["detail"]
    assert (tmp_path / "sys/devices/system/memory/memory1/state").read_text().startswith("online")


def test_a_failed_check_says_what_and_why(probe, tmp_path):
    meminfo(tmp_path, 0, 8 << 10, 4 << 10)
    (check,), status = probe("compact")
    assert (status, check["result"]) == (1, "fail")
    assert check["detail"] == "/proc/sys/vm/compact_memory: No such file or directory"
