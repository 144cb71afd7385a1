# SPDX-License-Identifier: GPL-2.0-only
"""Watches a boot while it runs: silence, output without progress, failure, deadline. No clock."""

from __future__ import annotations

import re
from typing import Literal

from harness.model import Timeouts

Cause = Literal["no-output", "no-progress", "deadline", "failure", "no-visit"]

FATAL = re.compile(
    rb"Kernel panic - not syncing|\] Oops: |[Kk]ernel BUG at "
    rb"|(?:^|\.\d+\] )general protection fault|BUG: unable to handle|BUG: kernel NULL pointer"
)
"""After one of these in a line the boot cannot come to a good end; a bad page or a warning is
survived, and so is a general protection fault of a program, which "traps: NAME" comes before."""

_NUMBER = re.compile(rb"(?:0x)?[0-9a-f]*[0-9][0-9a-f]*|[0-9a-f]{4,}")
_MAX_LINE = 4096
_MAX_FORMS = 1 << 16


class Watch:
    """Tells why a boot should be ended, if it should. All times are on one monotonic clock.

    `limits` are already scaled for the accelerator; `deadline_s` counts from `start`.
    """

    def __init__(self, limits: Timeouts, deadline_s: float, start: float) -> None:
        self._limits = limits
        self._deadline = start + deadline_s
        self._output = self._progress = start
        self._seen_any = False
        self._failed: float | None = None
        self._failure: Cause = "failure"
        self._forms: set[bytes] = set()
        self._tail = b""

    def feed(self, data: bytes, now: float) -> None:
        """Takes output of the guest. A line that was there before, but for numbers, is no news."""
        if not data:
            return
        self._seen_any = True
        self._output = now
        *lines, tail = (self._tail + data).split(b"\n")
        if self._failed is None and any(FATAL.search(line) for line in (*lines, tail)):
            self._failed = now
        for line in lines:
            form = _NUMBER.sub(b"#", line[:_MAX_LINE])
            if form not in self._forms:
                self._progress = now
                if len(self._forms) >= _MAX_FORMS:
                    self._forms.clear()
                self._forms.add(form)
        self._tail = tail[-_MAX_LINE:]

    def progress(self, now: float) -> None:
        """Takes news from elsewhere: the console is silent while probes run and report."""
        self._seen_any = True
        self._output = self._progress = now

    def give_up(self, now: float) -> None:
        """Takes that a visitor is back too early: a panic may be why, and is worth waiting for."""
        if self._failed is None:
            self._failed, self._failure = now, "no-visit"

    def poll(self, now: float) -> Cause | None:
        """Why the boot should end now, if it should."""
        for cause, at in self._events():
            if now >= at:
                return cause
        return None

    def next_wakeup(self) -> float:
        """When `poll` may change its mind without new output."""
        return min(at for _, at in self._events())

    def _events(self) -> list[tuple[Cause, float]]:
        events: list[tuple[Cause, float]] = []
        if self._failed is not None:
            # The trace after the first line is wanted, an endless stream of traces is not.
            events.append((self._failure, self._failed + self._limits.grace_s))
        quiet = self._output + self._limits.silence_s
        events.append(("no-progress" if self._seen_any else "no-output", quiet))
        events.append(("no-progress", self._progress + self._limits.progress_s))
        events.append(("deadline", self._deadline))
        return events
