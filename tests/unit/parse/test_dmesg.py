# SPDX-License-Identifier: GPL-2.0-only
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.run import Ending, Outcome
from harness.parse import dmesg, phases
from harness.parse import outcome as outcomes
from harness.parse.dmesg import Chunk
from harness.parse.outcome import judge
from tests.support.checkout import ROOT

GOLDEN = sorted((ROOT / "tests" / "golden" / "console").glob("*.log"))
MARK = b"[    1.1] boot-marks: phase=%s node=%d start=%d end=%d busy=%d calls=%d pages=%d\r\n"
MARKS = (
    b"[    1.0] x\r\n"
    b"[    1.100000] boot-marks: begin version=1 tsc_khz=2000 now=9 marks=2 lost=0\r\n"
    + MARK % (b"boot", -1, 1000, 5000, 4000, 1, 0)
    + MARK % (b"deferred_init", 3, 3000, 4000, 500, 2, 7)
    + b"[    1.100000] boot-marks: end\r\n"
)

# Bytes that look like a console more often than chance would have it.
PIECES = st.sampled_from(
    [
        *(b"\n", b"\r\n", b"\x1b[2J", b"\x1bc", b"\x1b]0;", b"\0", b"[    0.000000] ", b"<6>"),
        *(b"[    1.234567] ", b"Linux version 6.12 (x@y)", b"Kernel panic - not syncing: x"),
        *(b"BUG: Bad page state", b"\xff\xfe", b"boot-marks: begin version=1 tsc_khz=1 now=1"),
        *(b" marks=1 lost=0", b"boot-marks: phase=boot node=-1 start=1 end=2 busy=1 calls=1"),
        *(b" pages=1", b"node 1 deferred pages initialised in 5ms", "\u2028\x85".encode()),
        b"[Tue Nov 24 05:06:04 2026] ",
    ]
)
CONSOLES = st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=40).map(b"".join)


@given(CONSOLES)
def test_every_byte_string_is_a_console(data):
    report = outcomes.report(data)
    json.dumps(report)
    assert report["outcome"] in set(Outcome)
    assert len(report["excerpt"]) <= outcomes.EXCERPT


@given(CONSOLES, st.lists(st.integers(1, 9), max_size=30))
def test_an_index_gives_back_the_arrival_of_its_lines(data, sizes):
    chunks, offset = [], 0
    for number, size in enumerate(sizes):
        chunks.append(Chunk(offset, size, number / 8))
        offset += size
    text = dmesg.to_jsonl(dmesg.read(data, chunks))
    again = dmesg.read(data, dmesg.host_stamps_from_jsonl(text))
    assert dmesg.to_jsonl(again) == text


def test_a_line_of_the_index_that_was_cut_is_left_out():
    text = dmesg.to_jsonl(dmesg.read(b"a\nb\n", [Chunk(0, 2, 1e-5), Chunk(2, 2, 2.5)]))
    assert dmesg.host_stamps_from_jsonl(text) == (Chunk(0, 0, 1e-5), Chunk(2, 0, 2.5))
    assert dmesg.host_stamps_from_jsonl(text[:-3]) == (Chunk(0, 0, 1e-5),)


@given(st.text(max_size=200))
def test_a_damaged_index_is_no_error(text):
    dmesg.host_stamps_from_jsonl(text)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_consoles(path):
    report = outcomes.report(path.read_bytes())
    expected = json.loads(path.with_suffix(".json").read_text())
    assert {key: report[key] for key in expected} == expected


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_consoles_cut_anywhere(path):
    data = path.read_bytes()
    for end in range(0, len(data), len(data) // 50):
        outcomes.report(data[:end])


def test_an_int3_that_is_in_memory_is_the_kernels_own_fault():
    data = (GOLDEN[0].parent / "tcg-stale-int3.log").read_bytes()
    assert outcomes.report(data)["emulator_defect"]
    assert not outcomes.report(data.replace(b" 53 66 <90>", b" 53 cc <90>"))["emulator_defect"]


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


def test_user_space_that_cuts_into_lines_of_the_kernel():
    (path,) = (path for path in GOLDEN if path.stem == "debian-6.12-user-space")
    found = dmesg.read(path.read_bytes()).lines
    kernel = [line for line in found if line.text.startswith("pageinit: message ")]
    assert [line.text.split()[2] for line in kernel] == [str(n) for n in range(40)]
    assert all(line.printk and line.stamp_s for line in kernel)
    own = [line for line in found if line.text.startswith("user space line ")]
    assert len(own) == 40 and not any(line.printk or line.stamp_s for line in own)


def lines(data: bytes) -> list[tuple[str, float | None]]:
    return [(line.text, line.stamp_s) for line in dmesg.read(data).lines]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x1bc\x1b[?7l\x1b[2J[    0.000000] Linux version 6\r\n", [("Linux version 6", None)]),
        (b"<6>[    1.500000] a\n", [("a", 1.5)]),
        (b"[    1.500000][    T1] a\n", [("a", 1.5)]),
        (b"<6>[    1.500000] [   T36] a\n", [("a", 1.5)]),
        (b"> [    1.500000] a\n", [("> ", None), ("a", 1.5)]),
        (b"login: [    2.500000] b\n", [("login: ", None), ("b", 2.5)]),
        (b"Nov 24 05:06:04 host kernel: [    3.000000] c\n", [("c", 3.0)]),
        (b"Nov 24 05:06:04 host kernel: c\n", [("c", None)]),
        (b"[Tue Nov 24 05:06:04 2026] d\n", [("d", None)]),
        (b"a\rb\0c\n", [("abc", None)]),
        (b"\x1b[0;\x1b[31mred\x1b[1;\n", [("red", None)]),
    ],
)
def test_prefixes(data, expected):
    assert lines(data) == expected


def test_stamps_before_the_clock_are_unknown_not_zero():
    report = outcomes.report(b"[    0.000000] Linux version 6.1 (x)\n[    0.000000] y\n")
    assert report["last_stamp_s"] is None
    assert report["early_stamps_unknown"] == 2


def test_marks_are_seconds_since_the_boot_began():
    boot, deferred = phases.read_phases(dmesg.read(MARKS))
    assert (boot.start, boot.end, boot.node) == (0.0, 0.002, None)
    assert (deferred.node, deferred.start, deferred.end) == (3, 0.001, 0.0015)
    assert (deferred.busy, deferred.calls, deferred.pages) == (0.00025, 2, 7)


def test_marks_are_instructions_on_the_work_clock():
    boot, deferred = phases.read_phases(dmesg.read(MARKS), "work", 2)
    assert boot.end == 1000
    assert deferred.start == 500


def test_marks_printed_twice_count_once():
    assert len(phases.read_phases(dmesg.read(MARKS + MARKS))) == 2


def test_marks_cut_short_are_told():
    cut = MARKS.replace(b"pages=7", b"pages=")
    console = dmesg.read(cut)
    assert "1 marks lost" in phases.missing(console, phases.read_phases(console))


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


FLOODS = {
    "one line": b"x",
    "newlines": b"\n",
    "short lines": b"x\n",
    "no text": b"\xff",
    "escapes": b"\x1b[0;",
    "warnings": b"[    1.000000] WARNING: x\n",
    "banners": b"x Linux version 6\n",
    "marks": MARK % (b"boot", -1, 1, 2, 1, 1, 1),
    "stamps": b"[    1.000000]",
}
BOUNDED = """
import resource, sys
from harness.parse import dmesg, outcome
unit = bytes.fromhex(sys.argv[1])
data = b"[    1.000000] boot-marks: begin version=1 tsc_khz=1 now=1 marks=1 lost=0\\n"
data += unit * (int(sys.argv[2]) // len(unit))
before = resource.getrusage(resource.RUSAGE_SELF)
outcome.report(data)
dmesg.to_jsonl(dmesg.read(data))
after = resource.getrusage(resource.RUSAGE_SELF)
print(after.ru_utime - before.ru_utime, (after.ru_maxrss - before.ru_maxrss) * 1024)
"""


@pytest.mark.parametrize("unit", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_takes_seconds_and_bounded_memory(unit):
    argv = [sys.executable, "-c", BOUNDED, unit.hex(), str(64 << 20)]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    seconds, memory = map(float, said.split())
    assert seconds < 30
    assert memory < 1 << 30


def test_too_many_lines_keep_both_ends():
    data = b"[    1.000000] Linux version 6.1 (x)\n" + b"\n" * 10_000_000
    console = dmesg.read(data + b"[    9.000000] last\n")
    assert console.truncated and console.version == "6.1" and console.last_stamp_s == 9.0
    assert len(console.data) < 2 * dmesg.MAX_LINES


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


def test_a_log_too_long_keeps_both_ends():
    data = b"[    1.000000] Linux version 6.1 (x)\n" + b"x\n" * (dmesg.MAX_BYTES // 2)
    console = dmesg.read(data + b"[    9.000000] last\n")
    assert console.truncated
    assert console.version == "6.1"
    assert console.last_stamp_s == 9.0
