# SPDX-License-Identifier: GPL-2.0-only
"""Phases, from the marks of a kernel."""

import re

import pytest

from harness.parse import dmesg, phases
from harness.parse.dmesg import Chunk
from harness.parse.idle import IdleClock
from harness.parse.phases import MARKS
from tests.support.checkout import ROOT
from tests.support.consoles import MARK, MARKED


def test_marks_are_placed_on_the_clock_of_the_host():
    """The first line of the block comes 18 s after the launch; the TSC runs at 1 kHz."""
    head = b"[    1.000000] x\r\n"
    block = b"[    4.000000] boot-marks: begin version=1 tsc_khz=1 now=5000 marks=1 lost=0\r\n"
    block += MARK % (b"boot", -1, 1500, 4500, 9, 1, 0) + b"[    4.0] boot-marks: end\r\n"
    chunks = [Chunk(0, len(head), 2.0), Chunk(len(head), len(block), 18.0)]
    console = dmesg.read(head + block, chunks)
    (boot,) = (p for p in phases.read_phases(console) if p.source == "mark")
    assert (boot.host_start_s, boot.host_end_s) == (14.5, 17.5)
    (boot,) = (p for p in phases.read_phases(console, "work") if p.source == "mark")
    assert boot.host_start_s is None


def test_marks_are_seconds_since_the_boot_began():
    boot, deferred = phases.read_phases(dmesg.read(MARKED))
    assert (boot.start, boot.end, boot.node) == (0.0, 0.002, None)
    assert (deferred.node, deferred.start, deferred.end) == (3, 0.001, 0.0015)
    assert (deferred.busy, deferred.calls, deferred.pages) == (0.00025, 2, 7)


def test_marks_are_instructions_on_the_work_clock():
    boot, deferred = phases.read_phases(dmesg.read(MARKED), "work", 2)
    assert boot.end == 1000
    assert deferred.start == 500


def test_a_counter_that_is_coarser_than_the_work_clock_is_read_in_its_ticks():
    """arm64: 62.5 MHz, so that a tick is 16 ns; what was idle is known by the ns."""
    text = re.sub(rb"tsc_khz=\d+", b"tsc_khz=62500", MARKED)
    boot, _ = phases.read_phases(dmesg.read(text), "work")
    fine, _ = phases.read_phases(dmesg.read(MARKED), "work")
    assert boot.end == 16 * fine.end
    zero = phases.read_marks(dmesg.read(text)).zero
    waits = IdleClock((16 * zero + 15, 16 * zero + 31), (1000, 1010))
    boot, _ = phases.read_phases(dmesg.read(text), "work", 0, waits)
    assert (boot.idle, boot.end) == (10, 16 * fine.end - 10)


def test_marks_printed_twice_count_once():
    assert len(phases.read_phases(dmesg.read(MARKED + MARKED))) == 2


def test_marks_cut_short_are_told():
    cut = MARKED.replace(b"pages=7", b"pages=")
    console = dmesg.read(cut)
    assert "1 marks lost" in phases.missing(console, phases.read_phases(console))


SERIES = ROOT / "kernel-patches/boot-marks"


@pytest.mark.parametrize("base", ["6.12", "7.3"])
def test_the_marks_are_those_of_the_series(base):
    text = "".join(path.read_text() for path in (SERIES / base).glob("0001*"))
    enum = re.search(r"enum boot_phase \{(.*?)NR_BOOT_PHASES", text, re.S)[1]
    names = tuple(n.lower() for n in re.findall(r"BOOT_PHASE_(\w+),", enum))
    known = phases.tree(f"Linux version {base}.9 (x@y)")
    assert names == MARKS[: len(names)] and set(names) == known.keys()
    assert all(within in known for within in known.values() if within)


def test_each_version_has_the_tree_of_the_last_base_before_it():
    trees = [phases.tree(f"Linux version {v}") for v in ("6.1.0", "6.19", "7.3.4-1", "8.0", "x")]
    old, new = phases.TREES[6, 12], phases.TREES[7, 3]
    assert trees == [old, old, new, new, old]
    assert new["memmap_init"] == "mm_core_init_early" and old["memmap_init"] == "setup_arch"


@pytest.mark.parametrize(("version", "absent"), [("6.12.117", False), ("7.3.4", True)])
def test_a_mark_of_a_later_base_is_missed_there_alone(version, absent):
    console = dmesg.read(f"[    0.000000] Linux version {version} (x@y)\n".encode() + MARKED)
    gone = phases.missing(console, phases.read_phases(console))
    assert ("mm_core_init_early" in gone) == absent
    assert "setup_arch" in gone


@pytest.mark.parametrize("late", [True, False])
def test_all_memory_is_told_where_user_space_does_not_wait_for_it(late):
    lines = [
        (b"[    0.000000] Linux version 7.3.4 (a@b)\r\n", 1.0),
        (b"[    0.500000] Run /init as init process\r\n", 2.0),
        (b"[    0.900000] mm: all memory is initialised\r\n", 4.5),
    ][: 3 if late else 2]
    chunks, at = [], 0
    for data, arrival in lines:
        chunks.append(Chunk(at, len(data), arrival))
        at += len(data)
    console = dmesg.read(b"".join(data for data, _ in lines), chunks)
    found = {p.name: (p.start, p.end) for p in phases.read_phases(console) if p.source == "host"}
    assert found["boot"] == (1.0, 2.0)
    assert found.get("all_memory") == ((1.0, 4.5) if late else None)
