# SPDX-License-Identifier: GPL-2.0-only
"""When the log of a boot that is under way has decided it."""

import itertools

import pytest

from harness.parse.follow import follow

BANNER = b"[    0.000000] Linux version 6.1 (x) #1\n"
INIT = b"[    2.000000] Run /init as init process\n"
PANIC = b"[    2.100000] Kernel panic - not syncing: Attempted to kill init!\n"
STALL = b"[   30.000000] rcu: INFO: rcu_sched self-detected stall on CPU\n"


def watch(*pieces, then=b"", timeout=60.0):
    """The report, and after how many seconds: a piece comes each second, `then` for ever."""
    now = itertools.count()
    seconds = [0]

    def clock():
        return float(seconds[0])

    def coming():
        for piece in itertools.chain(pieces, itertools.repeat(then)):
            seconds[0] = next(now)
            yield piece

    return follow(coming(), timeout, 2.0, clock), seconds[0]


@pytest.mark.parametrize(
    ("pieces", "then", "outcome", "after"),
    [
        ((BANNER, INIT), b"", "ok", 3),
        ((BANNER, INIT), b"chatter\n", "ok", 11),
        ((BANNER, INIT, PANIC), b"", "panic", 4),
        ((BANNER, b"", b"", b"", INIT[:20], INIT[20:]), b"", "ok", 7),
        ((BANNER, b"[    1.000000] BUG: x\n", b"[    1.1] a\n"), b"", "oops", 4),
        ((BANNER, BANNER, BANNER), b"", "reboot-loop", 4),
        ((BANNER,), b"", "deadline", 60),
        ((BANNER, STALL), b"", "stalled", 60),
        ((), b"", "no-output", 60),
        ((b"U-Boot 2023.01\n",), b"", "deadline", 60),
    ],
)
def test_when_a_boot_is_decided(pieces, then, outcome, after):
    report, seconds = watch(*pieces, then=then)
    assert (report.outcome, seconds) == (outcome, after)


def test_a_deadline_says_how_long_and_what_was_seen():
    report, _ = watch(BANNER, b"[    1.000000] WARNING: x\n", timeout=7)
    assert report.reason == "WARNING: x; user space did not begin within 7 s"


def test_a_pipe_that_ends_is_judged_by_what_came():
    assert follow([BANNER], 60).outcome == "incomplete"
    assert follow([BANNER, INIT], 60).outcome == "ok"
