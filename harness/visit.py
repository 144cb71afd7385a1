# SPDX-License-Identifier: GPL-2.0-only
"""Probes in a guest that is the image of a distribution: by SSH, over a port that QEMU forwards.

The guest is as hostile as any. Its first host key is recorded, and has to be the one that it shows
ever after; each step has a limit, and so has all that it says.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

from harness.breakage import named
from harness.command import Done, Limits
from harness.errors import Failure, RemoteError
from harness.experiment import Probes
from harness.inventory import Host, Inventory
from harness.quantity import MIB
from harness.record import Visit
from harness.ssh import Connection
from harness.trust import Trust

PROGRAM = "pageinit-probe"
"""What the probes are called in the home of the user there."""

MAX_ANSWER = 4 * MIB
"""What one probe may say: 4096 threads of `touch` report 2.6 MiB."""

STEPS = Limits(connect_s=5, banner_s=5, login_s=10, command_s=20)
COPY_S = 60.0
"""Seconds for each step, as for hardware."""

PAUSE_S = 0.25
PATIENCE_S = 0.5
"""With the first knock; a packet that was lost while a network was set up comes again after 6 s,
when another knock would have been answered long since. Twice as much after each one in vain."""

LOGIN_PAUSE_S = 5.0
"""Before the next try where a login was refused: newer servers shut out who tries too often."""

_NOT_YET = {Failure.UNREACHABLE, Failure.CLOSED, Failure.SILENT, Failure.LOGIN}
"""What a server that is about to start looks like; anything else is no matter of time."""

_CANNOT_RUN = (126, 127)
"""What a shell answers for a program that it cannot start."""


@dataclass(frozen=True)
class Address:
    """Where the guest is, and who comes in with which key; seconds are those of this host."""

    port: int
    user: str
    key: Path
    known: Path
    """where the host key that it shows first is recorded"""
    start: float
    """launch of QEMU, on the monotonic clock"""
    login_s: float
    """until the first login"""
    slowdown: float
    """of the accelerator: each step may take so much longer"""


class Visitor:
    """Logs in, copies the probes and runs them. One thread does, `leave` may come from another."""

    def __init__(
        self,
        address: Address,
        program: Path,
        probes: Probes,
        on_result: Callable[[bytes], None],
        on_sign: Callable[[], object],
    ) -> None:
        self._address = address
        self._program = program
        self._probes = probes
        self._on_result = on_result
        self._on_sign = on_sign
        self._over = threading.Event()
        self._limits = Limits(*(seconds * address.slowdown for seconds in astuple(STEPS)))
        self.visit: Visit | None = None
        """the way in, when somebody has come in"""
        self.complaint = ""
        """why the last try failed"""

    def leave(self) -> None:
        """No further try; whoever waits for an answer waits until QEMU ends."""
        self._over.set()

    def pay(self) -> None:
        """From the first try to the last result; raises `RemoteError` for all that goes wrong."""
        with contextlib.ExitStack() as stack:
            link = self._come_in(stack)
            link.put(self._program, PROGRAM, limit_s=COPY_S * self._address.slowdown)
            _must(link.run(["chmod", "700", PROGRAM]), "chmod")
        # Another connection: a server with another key would show here.
        with self._connect() as link:
            for name in ("hello", *self._probes.run):
                self._on_result(_lines(name, self._run(link, name)))
                self._on_sign()

    def _run(self, link: Connection, name: str) -> Done:
        size, threads = self._probes.touch_bytes, self._probes.touch_threads
        words = [f"./{PROGRAM}", "--here", name, "", str(size), str(threads)]
        # The boot's own deadline comes first.
        done = link.run(words, limit_s=3600, max_bytes=MAX_ANSWER)
        if done.status in _CANNOT_RUN:
            _must(done, words[0])
        return done

    def _come_in(self, stack: contextlib.ExitStack) -> Connection:
        """The first login, tried until it succeeds or its time is over; `stack` logs out."""
        end = time.monotonic() + self._address.login_s
        patience = PATIENCE_S
        while True:
            try:
                self._knock(patience)
                link = stack.enter_context(self._connect())
            except RemoteError as error:
                self.complaint = f"{error.failure}: {error.what}"
                if error.failure not in _NOT_YET or time.monotonic() > end or self._over.is_set():
                    raise
                if error.failure in (Failure.CLOSED, Failure.LOGIN):
                    self._on_sign()  # somebody there said no
                if error.failure is Failure.SILENT:
                    patience = min(2 * patience, self._limits.banner_s)
                refused = error.failure is Failure.LOGIN
                self._over.wait(LOGIN_PAUSE_S if refused else PAUSE_S)
                continue
            login_s = round(time.monotonic() - self._address.start, 3)
            self.visit = Visit(host_key=link.host_key, server=link.server, login_s=login_s)
            self._on_sign()
            return link

    def _knock(self, patience: float) -> None:
        """Raises `RemoteError` where nobody says a word within so many seconds."""
        there = ("127.0.0.1", self._address.port)
        with named("guest"), socket.create_connection(there, patience) as link:
            if not link.recv(1):
                raise EOFError

    def _connect(self) -> Connection:
        there = self._address
        host = Host(
            address="127.0.0.1",
            port=there.port,
            user=there.user,
            key_file=str(there.key),
            memory=1,
            cores=1,
        )
        inventory = Inventory(name="guest", hosts={"guest": host})
        trust = Trust([there.known], record=there.known)
        return Connection(inventory, "guest", trust, self._limits)


def _must(done: Done, what: str) -> None:
    if done.status:
        raise RemoteError(Failure.COMMAND, f"{what}: status {done.status}: {_said(done)}")


def _lines(name: str, done: Done) -> bytes:
    """What a probe reported, whole lines of it, and how it ended where that was not well."""
    lines = done.stdout
    if lines and not lines.endswith(b"\n"):
        lines += b"\n"
    if done.status > 1:
        # 1 is a probe that has reported its failure itself.
        failed = {"probe": name, "error": f"status {done.status}", "reason": _said(done)}
        lines += json.dumps(failed).encode() + b"\n"
    return lines


def _said(done: Done) -> str:
    return done.stderr[:200].decode("utf-8", "replace").strip()
