# SPDX-License-Identifier: GPL-2.0-only
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.boot.watch import Watch
from harness.model.experiment import Timeouts

LIMITS = Timeouts(silence_s=10, progress_s=30, grace_s=2)


def watch() -> Watch:
    return Watch(LIMITS, 100, start=1000)


def test_silence_from_the_start_is_no_output():
    silent = watch()
    assert silent.poll(1009.9) is None
    assert silent.next_wakeup() == 1010
    assert silent.poll(1010) == "no-output"


def test_silence_after_output_is_no_progress():
    seen = watch()
    seen.feed(b"one\n", 1005)
    assert seen.poll(1014) is None
    assert seen.poll(1015) == "no-progress"


def test_lines_that_differ_in_numbers_only_are_no_progress():
    stalled = watch()
    for second in range(40):
        stalled.feed(
            b"[ %d.0] rcu: stall on CPU %d ffff%x\n" % (second, second % 4, second), 1000 + second
        )
    assert stalled.poll(1029) is None
    assert stalled.poll(1031) == "no-progress"


def test_new_lines_are_progress_until_the_deadline():
    busy = watch()
    for second in range(100):
        busy.feed(b"line %s\n" % (b"x" * second), 1000 + second)
        assert busy.poll(1000 + second) is None
    assert busy.poll(1100) == "deadline"


@pytest.mark.parametrize("text", [b"Kernel panic - not syncing: x", b"[    1.0] Oops: 0000 [#1]"])
def test_failure_leaves_time_for_the_trace(text):
    failed = watch()
    failed.feed(text + b"\n", 1001)
    assert failed.poll(1002.9) is None
    failed.feed(b"Call Trace:\n", 1002.9)
    assert failed.poll(1003) == "failure"


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_failure_is_seen_however_the_bytes_are_cut(sizes):
    data = b"[    1.0] fine\n[    2.0] Kernel panic - not syncing: gone\nmore\n"
    cut = watch()
    for size in [*sizes, len(data)]:
        cut.feed(data[:size], 1001)
        data = data[size:]
    assert cut.poll(1003) == "failure"


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b"[    1.0] general protection fault, probably for address 0x1: 0000", "failure"),
        (b"general protection fault: 0000 [#1] SMP", "failure"),
        (b"[    1.0] Kernel BUG at expand+0x1/0x2 [verbose debug info unavailable]", "failure"),
        (b"[    1.0] traps: prog[77] general protection fault ip:1 sp:2 error:0", None),
    ],
)
def test_only_a_fault_of_the_kernel_ends_the_boot(line, cause):
    seen = watch()
    seen.feed(line + b"\n", 1005)
    assert seen.poll(1007.1) == cause
