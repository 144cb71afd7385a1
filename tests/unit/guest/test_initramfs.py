# SPDX-License-Identifier: GPL-2.0-only
"""The guest's programs, compiled and run here, and the archive they travel in."""

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from harness.errors import HostError
from harness.guest import initramfs
from harness.guest.initramfs import CpioEntry, keys

GOLDEN = Path(__file__).parents[2] / "golden" / "proc"


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """Runs one probe; answers its objects and its exit status."""
    program = tmp_path_factory.mktemp("guest") / "probe"
    initramfs.compile_program("probe.c", program)

    def run(*words: object) -> tuple[list[dict], int]:
        argv = [program, *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    return run


def test_zoneinfo_has_each_populated_zone(probe, tmp_path):
    (tmp_path / "proc").mkdir()
    shutil.copy(GOLDEN / "zoneinfo", tmp_path / "proc")
    zones, status = probe("zoneinfo", tmp_path)
    assert status == 0
    assert [(z["node"], z["zone"], z["managed_pages"]) for z in zones] == [
        (0, "DMA", 3840),
        (0, "DMA32", 767139),
        (3, "Normal", 1031937),
    ]
    assert zones[1]["high_pages"] == 4740  # not the "high:" of a per-CPU list
    assert [z["percpu_pages"] for z in zones] == [0, 0, 0]
    assert zones[2]["free_pages"] == 1027981


def test_zoneinfo_adds_up_the_lists_of_all_cpus(probe, tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/zoneinfo").write_text(
        "Node 2, zone   Normal\n  pages free     90\n        present  100\n        managed  100\n"
        "  pagesets\n    cpu: 0\n              count:    3\n              high:     9\n"
        "    cpu: 1\n              count:    4\n"
    )
    (zone,), _ = probe("zoneinfo", tmp_path)
    assert (zone["free_pages"], zone["percpu_pages"]) == (90, 7)


def test_meminfo_is_in_bytes_and_per_node(probe, tmp_path):
    node = tmp_path / "sys/devices/system/node/node2"
    node.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:    2048 kB\nMemFree:  1024 kB\n")
    (node / "meminfo").write_text("Node 2 MemTotal:   512 kB\nNode 2 MemFree:  256 kB\n")
    assert probe("meminfo", tmp_path) == (
        [
            {"probe": "meminfo", "mem_total_bytes": 2 << 20, "mem_free_bytes": 1 << 20},
            {
                "probe": "node_meminfo",
                "node": 2,
                "mem_total_bytes": 512 << 10,
                "mem_free_bytes": 256 << 10,
            },
        ],
        0,
    )


@pytest.mark.parametrize("name", ["meminfo", "zoneinfo"])
def test_a_probe_that_cannot_read_says_so(probe, tmp_path, name):
    objects, status = probe(name, tmp_path)
    assert status == 1
    assert objects[0]["probe"] == name
    assert objects[0]["reason"] == "No such file or directory"


def test_touch_faults_on_fresh_mappings_only(probe):
    objects, status = probe("touch", "", 64 * 4096, 2)
    assert status == 0
    assert objects[0]["touched_bytes"] == 64 * 4096
    totals = {o["kind"]: o for o in objects if o["probe"] == "touch_total"}
    assert {o["pages"] for o in totals.values()} == {64}
    assert totals["first-touch"]["faults_minor"] >= 64
    assert totals["retouch-mapped"]["faults_minor"] == 0
    assert totals["touch-recycled"]["faults_minor"] >= 64
    threads = [o for o in objects if o["probe"] == "touch" and o["pass"] == 1]
    assert [o["thread"] for o in threads] == [0, 1]
    assert all(o["tsc_end"] > o["tsc_start"] for o in threads)


def test_touch_refuses_less_than_a_page_a_thread(probe):
    objects, status = probe("touch", "", 4096, 2)
    assert (objects[0]["error"], status) == ("fewer than one page a thread", 1)


def test_the_archive_is_what_cpio_reads(tmp_path):
    entries = [
        CpioEntry("dev", stat.S_IFDIR | 0o755),
        CpioEntry("init", stat.S_IFREG | 0o755, b"#!/bin/sh\n"),
    ]
    data = initramfs.cpio(entries)
    assert data == initramfs.cpio(entries)
    assert len(data) % 4 == 0
    if not shutil.which("cpio"):
        pytest.skip("cpio is not installed")
    subprocess.run(["cpio", "-idm", "--quiet"], input=data, cwd=tmp_path, check=True)
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755


def test_the_same_inputs_are_compiled_once(tmp_path):
    first = initramfs.build(tmp_path)
    written = first.path.stat().st_mtime_ns
    assert initramfs.build(tmp_path) == first
    assert first.path.stat().st_mtime_ns == written


def test_a_shell_comes_with_a_busybox_that_needs_nothing(tmp_path):
    made = initramfs.shell(tmp_path)
    data = made.path.read_bytes()
    names = re.findall(rb"070701[0-9A-F]{104}([\w/]+)\0", data)
    assert names == [b"dev", b"dev/console", b"init", b"bin", b"bin/busybox"]
    assert initramfs.shell(tmp_path) == made
    # What is measured has no word of it.
    assert b"busybox" in data and b"busybox" not in initramfs.build(tmp_path).path.read_bytes()


def test_a_busybox_that_needs_libraries_is_refused(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    shutil.copy("/bin/ls", tmp_path / "bin/busybox")
    with pytest.raises(HostError, match="shared libraries") as caught:
        initramfs.shell(tmp_path)
    assert "busybox-static" in caught.value.remedy
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(HostError, match="busybox is not installed"):
        initramfs.shell(tmp_path)


def test_the_keys_lie_beside_the_initramfs_and_are_private():
    archive = keys(b"ssh-ed25519 AAAA\n", b"host")
    assert archive.startswith(b"070701") and len(archive) % 4 == 0
    assert archive.count(b"00008180") == 2  # a regular file, 0600
    assert b"ssh-ed25519 AAAA\n" in archive
