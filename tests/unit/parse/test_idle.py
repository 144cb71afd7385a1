# SPDX-License-Identifier: GPL-2.0-only
"""What was idle on the work clock, and the phases without it."""

from pathlib import Path

import pytest

from harness.model.run import Ending
from harness.parse import dmesg, evidence, idle, phases
from harness.parse.idle import IdleClock
from tests.support.checkout import ROOT
from tests.support.consoles import MARK, MARKED
from tests.support.records import a_run


def block(*marks: bytes) -> dmesg.Dmesg:
    head = b"[    4.0] boot-marks: begin version=1 tsc_khz=1 now=9 marks=%d lost=0\r\n" % len(marks)
    return dmesg.read(head + b"".join(marks) + b"[    4.0] boot-marks: end\r\n")


def test_what_was_idle_is_in_no_phase_but_beside_it():
    """500 ns pass idle at 3000, and 100 more at 6000; each shows in all that comes later."""
    waits = IdleClock((3000, 6000), (500, 600))
    console = block(
        MARK % (b"boot", -1, 1000, 9000, 8000, 1, 0),
        MARK % (b"memmap_init", -1, 1500, 2500, 1000, 1, 0),
        MARK % (b"smp_init", -1, 2400, 5000, 2600, 1, 0),
        MARK % (b"initcalls", -1, 6000, 8000, 2000, 1, 0),
        MARK % (b"hash_tables", -1, 1600, 7000, 90, 3, 0),
    )
    found = {
        p.name: (p.start, p.end, p.busy, p.idle)
        for p in phases.read_phases(console, "work", 0, waits)
    }
    assert found == {
        "boot": (0, 7400, 7400, 600),
        "memmap_init": (500, 1500, 1000, 0),
        "smp_init": (1400, 3500, 2100, 500),
        "initcalls": (4400, 6400, 2000, 0),
        "hash_tables": (600, 5400, 90, 600),  # nobody knows whether in a call, or between two
    }


def test_idle_before_the_kernel_counts_for_nothing():
    waits = IdleClock((10,), (7,))
    (boot,) = phases.read_phases(
        block(MARK % (b"boot", -1, 1000, 9000, 8000, 1, 0)), "work", 2, waits
    )
    assert (boot.start, boot.end, boot.idle) == (0, 2000, 0)


def test_where_nobody_tells_idle_from_work_that_is_said():
    assert {p.idle for p in phases.read_phases(dmesg.read(MARKED), "work")} == {None}
    assert {p.idle for p in phases.read_phases(dmesg.read(MARKED))} == {None}


@pytest.mark.parametrize(
    ("text", "found", "fault"),
    [
        (b"idle-by-clock 1\n5 2\n9 4\nend\n", IdleClock((5, 9), (2, 4)), None),
        (b"idle-by-clock 1\nend\n", IdleClock((), ()), None),
        (b"idle-by-clock 1\nunknown\nend\n", None, None),
        (b"idle-by-clock 1\n5 2\n", None, "not all of it"),
        (b"", None, "no record"),
        (b"idle-by-clock 2\nend\n", None, "no record"),
        (b"idle-by-clock 1\n5 2\n4 3\nend\n", None, "does not rise"),
        (b"idle-by-clock 1\n5 2\n6 1\nend\n", None, "does not rise"),
        (b"idle-by-clock 1\n5 -2\nend\n", None, "does not rise"),
    ],
)
def test_a_record_of_what_was_idle(text, found, fault):
    answer, said = idle.read(text)
    assert answer == found and (fault in said if fault else said is None)


def recorded(folder: Path, text: str | None):
    """A boot of the work clock of which a plugin was to write down what is idle."""
    console = (ROOT / "tests/golden/console/grow-1t.log").read_bytes()
    (folder / "console.log").write_bytes(console)
    (folder / "probes.jsonl").write_text('{"probe":"done"}\n')
    (folder / "idle.txt").unlink(missing_ok=True)
    if text is not None:
        (folder / "idle.txt").write_text(text)
    argv = ("qemu-system-x86_64", "-plugin", "/a/idle.so,out=idle.txt")
    return evidence.complete(a_run(argv=argv, clock="work", ending=Ending(cause="done")), folder)


@pytest.mark.parametrize("text", [None, "idle-by-clock 1\n"])
def test_a_boot_whose_record_is_not_whole_is_not_good(tmp_path, text):
    run = recorded(tmp_path, text)
    assert run.judgement.outcome == "incomplete"
    assert run.judgement.reason.startswith("idle.txt: ")
    assert {p.idle for p in run.phases} == {None}


def test_a_qemu_that_does_not_tell_is_none_the_worse(tmp_path):
    run = recorded(tmp_path, "idle-by-clock 1\nunknown\nend\n")
    assert run.judgement.outcome == "ok" and {p.idle for p in run.phases} == {None}
