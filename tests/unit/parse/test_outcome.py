# SPDX-License-Identifier: GPL-2.0-only
"""How a boot ended, from recorded consoles and from pieces of them."""

import json

import pytest

from harness.model.run import Ending, Outcome
from harness.parse import dmesg
from harness.parse import outcome as outcomes
from harness.parse.outcome import judge
from tests.support.checkout import ROOT
from tests.support.consoles import RECORDED

KEPT = sorted((ROOT / "tests/golden/logs").glob("*.log"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_golden_consoles(path):
    report = outcomes.report(path.read_bytes())
    expected = json.loads(path.with_suffix(".json").read_text())
    assert {key: report[key] for key in expected} == expected


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_golden_logs(path):
    report = outcomes.report(path.read_bytes())
    expected = json.loads(path.with_suffix(".json").read_text())
    report["phase_names"] = [phase["name"] for phase in report["phases"]]
    assert expected.pop("reason_contains", "") in report["reason"]
    assert {key: report[key] for key in expected} == expected


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_golden_consoles_cut_anywhere(path):
    data = path.read_bytes()
    for end in range(0, len(data), len(data) // 50):
        outcomes.report(data[:end])


def test_an_int3_that_is_in_memory_is_the_kernels_own_fault():
    data = (RECORDED[0].parent / "tcg-stale-int3.log").read_bytes()
    assert outcomes.report(data)["emulator_defect"]
    assert not outcomes.report(data.replace(b" 53 66 <90>", b" 53 cc <90>"))["emulator_defect"]


def test_stamps_before_the_clock_are_unknown_not_zero():
    report = outcomes.report(b"[    0.000000] Linux version 6.1 (x)\n[    0.000000] y\n")
    assert report["last_stamp_s"] is None
    assert report["early_stamps_unknown"] == 2


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Kernel panic - not syncing: Attempted to kill init!", "panic"),
        ("BUG: Bad page state in process swapper  pfn:00001", "bad-page"),
        ("BUG: unable to handle page fault for address: ffffea0000000000", "oops"),
        ("Oops: general protection fault, probably for non-canonical address", "oops"),
        ("kernel BUG at mm/page_alloc.c:1000!", "oops"),
        ("Kernel BUG at expand+0x1/0x2 [verbose debug info unavailable]", "oops"),
        ("WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:1 f+0x1/0x2", "warning"),
        ("rcu: INFO: rcu_sched detected stalls on CPUs/tasks:", "warning"),
        ("init: not a WARNING: at all", "ok"),
    ],
)
def test_trouble_of_the_kernel(text, outcome):
    data = f"[    1.000000] Linux version 6.12 (x)\n[    2.000000] {text}\n".encode()
    judgement = judge(dmesg.read(data), Ending(cause="done"), (), done=True)
    assert judgement.outcome == outcome
    assert (text in judgement.excerpt[0]) if outcome != "ok" else not judgement.excerpt


def test_a_panic_names_the_trouble_that_came_first():
    data = b"[    2.000000] BUG: Bad page state in x\n"
    data += b"[    3.000000] Kernel panic - not syncing: y\n"
    judgement = judge(dmesg.read(data), Ending(cause="guest-reset"), (), done=False)
    assert judgement.outcome == Outcome.PANIC
    assert judgement.reason.endswith("first: BUG: Bad page state in x")


def test_a_stall_that_the_guest_saw_keeps_what_the_host_saw():
    data = b"[   17.000000] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:\n"
    ending = Ending(cause="deadline", detail="QEMU is short of the host's memory")
    judgement = judge(dmesg.read(data), ending, (), done=False)
    assert judgement.outcome == Outcome.STALLED
    assert judgement.reason.startswith("rcu: INFO") and judgement.reason.endswith(
        "; " + ending.detail
    )


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (Ending(cause="no-output"), "no-output"),
        (Ending(cause="no-progress"), "stalled"),
        (Ending(cause="deadline"), "deadline"),
        (Ending(cause="guest-reset"), "reboot-loop"),
        (Ending(cause="guest-shutdown"), "incomplete"),
        (Ending(cause="exited", signal="SIGKILL"), "killed"),
        (Ending(cause="start-refused", detail="no memory"), "start-refused"),
        (Ending(cause="build-failed"), "build-failed"),
    ],
)
def test_endings_without_trouble_on_the_console(ending, outcome):
    assert judge(dmesg.read(b""), ending, (), done=False).outcome == outcome


def test_a_kernel_of_ours_without_its_marks_is_incomplete():
    data = b"[    1.000000] Linux version 6.12.1 (pageinit@pageinit) (gcc)\n"
    judgement = judge(dmesg.read(data), Ending(cause="done"), (), done=True)
    assert judgement.outcome == Outcome.INCOMPLETE
    assert "memmap_init" in judgement.reason


def test_a_word_of_user_space_is_no_trouble_of_the_kernel():
    stamped = b"[    1.000000] Linux version 6.12 (x)\n[    2.000000] Run /init as init process\n"
    assert outcomes.report(stamped + b"WARNING: no modules\r\n")["outcome"] == "ok"
    assert (
        outcomes.report(stamped + b"no newline[    3.000000] WARNING: x\n")["outcome"] == "warning"
    )
    plain = b"Linux version 6.12 (x)\nRun /init as init process\nWARNING: CPU: 0 PID: 1 at x\n"
    assert outcomes.report(plain)["outcome"] == "warning"


def test_a_boot_without_marks_tells_that_it_came_to_its_initcalls():
    data = b"[    1.000000] Linux version 6.12 (x)\n[    2.000000] smp: Brought up 1 node, 1 CPU\n"
    assert outcomes.report(data)["last_phase"] == "page_alloc_init_late"
    more = data + b"[    3.0] devtmpfs: initialized\n"
    assert outcomes.report(more)["last_phase"] == "initcalls"
