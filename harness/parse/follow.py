# SPDX-License-Identifier: GPL-2.0-only
"""A boot that is under way elsewhere, judged as soon as its log has decided it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from harness.model import GOOD, Outcome
from harness.parse.outcome import BootReport, parse_log
from harness.parse.source import Ends

SETTLE_S = 2.0
"""Of silence, in which the rest of a trace comes, or a panic behind the first word of init."""
GRACE = 5
"""So many times as long at most, where there is no silence."""
LOOPS = 3
_BAD = frozenset({Outcome.PANIC, Outcome.OOPS, Outcome.BAD_PAGE})


def follow(
    pieces: Iterable[bytes],
    timeout_s: float,
    settle_s: float = SETTLE_S,
    clock: Callable[[], float] = time.monotonic,
) -> BootReport:
    """The report of a log whose `pieces` are still to come, empty ones where nothing came.

    Ends when user space began, or a panic, an oops or a third boot has come, and then silence; at
    the end of the pieces; or after `timeout_s`, which is a deadline for a boot that is not decided.
    """
    ends, start = Ends(), clock()
    heard = looked = start
    since: float | None = None
    spent, fresh = 0.0, False
    for piece in pieces:
        now = clock()
        if piece:
            ends.add(piece)
            heard, fresh = now, True
        if now - start >= timeout_s:
            late = f"user space did not begin within {timeout_s:g} s"
            return parse_log(bytes(ends), late)
        if fresh and now - looked >= 5 * spent:  # what is long is not read over and over
            decided = _decided(parse_log(bytes(ends)))
            since = (now if since is None else since) if decided else None
            looked, fresh, spent = now, False, clock() - now
        if since is not None and (now - heard >= settle_s or now - since >= GRACE * settle_s):
            break
    return parse_log(bytes(ends))


def _decided(report: BootReport) -> bool:
    again = report.outcome is Outcome.REBOOT_LOOP and report.boots >= LOOPS
    return report.outcome in GOOD | _BAD or again
