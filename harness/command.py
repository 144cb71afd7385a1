# SPDX-License-Identifier: GPL-2.0-only
"""What goes in and out of one command over a channel of SSH, neither more than is allowed."""

from __future__ import annotations

import select
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import paramiko

from harness.breakage import named
from harness.errors import Failure, RemoteError
from harness.quantity import KIB, MIB, format_size

CHUNK = 32 * KIB
MAX_ANSWER = MIB
LAST_S = 2
"""For the last words of a program whose output has ended."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The last line that it printed to standard error."""
        said = printable(self.stderr.decode("utf-8", "replace"), keep="\n\t")
        return said.strip().rpartition("\n")[2][:300]


@dataclass(frozen=True)
class Limits:
    """Seconds for each step on the way in, and for a command that has none of its own."""

    connect_s: float = 10
    banner_s: float = 10
    login_s: float = 15
    command_s: float = 30


class Voice(Protocol):
    """A program that runs there and that we talk to; all raise `RemoteError`."""

    def say(self, data: bytes, limit_s: float) -> None:
        """Sends all of it."""

    def hear(self, limit_s: float) -> bytes | None:
        """What it says next: no bytes at its end, nothing at all where none came in time."""

    def end(self) -> Done:
        """How it ended, with nothing of its output; a status below zero where none came."""


class Link(Protocol):
    """A host that programs run on, and that files go to and come from; all raise `RemoteError`."""

    limits: Limits

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        limit_s: float | None = None,
        max_bytes: int = MAX_ANSWER,
    ) -> Done:
        """Runs a program there to its end."""

    def converse(self, argv: Sequence[str]) -> AbstractContextManager[Voice]:
        """Runs a program there that we talk to while it runs."""

    def put(self, local: Path, remote: str, *, limit_s: float, start: int = 0) -> str:
        """Copies a file there, from a byte on; answers the sha256 of all of it."""

    def get(self, remote: str, local: Path, *, max_bytes: int, limit_s: float) -> str:
        """Copies a file from there; answers its sha256."""


@dataclass(frozen=True)
class ChannelVoice:
    """A program at the other end of a channel."""

    channel: paramiko.Channel
    host: str

    def say(self, data: bytes, limit_s: float) -> None:
        """Sends all of it."""
        with named(self.host):
            self.channel.settimeout(limit_s)
            self.channel.sendall(data)

    def hear(self, limit_s: float) -> bytes | None:
        """What it says next."""
        with named(self.host):
            self.channel.settimeout(limit_s)
            try:
                return self.channel.recv(CHUNK)
            except TimeoutError:
                return None

    def end(self) -> Done:
        """How it ended; that it has closed its output does not mean that it has."""
        said = b""
        with named(self.host), suppress(TimeoutError):
            self.channel.settimeout(LAST_S)
            said = self.channel.recv_stderr(CHUNK)
        self.channel.status_event.wait(LAST_S)
        return Done(self.channel.exit_status, b"", said)


def talk(channel: paramiko.Channel, stdin: bytes, max_bytes: int, name: str) -> Done:
    """Sends and reads at the same time, so that neither side waits for the other."""
    out, err, sent = bytearray(), bytearray(), 0
    if not stdin:
        channel.shutdown_write()
    while True:
        if sent < len(stdin) and channel.send_ready():
            sent = _send(channel, stdin, sent)
        select.select([channel], [], [], 0.01 if sent < len(stdin) else 0.5)
        ended = channel.exit_status_ready() or channel.closed
        while channel.recv_ready():
            out += channel.recv(CHUNK)
            fit(len(out), max_bytes, f"{name}: its answer")
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(CHUNK)
            fit(len(err), max_bytes, f"{name}: its complaint")
        if ended and (channel.closed or channel.eof_received):
            break
    if (status := channel.recv_exit_status()) < 0:  # none came
        raise RemoteError(Failure.CLOSED, f"{name}: a signal or the connection ended it")
    return Done(status, bytes(out), bytes(err))


def _send(channel: paramiko.Channel, stdin: bytes, sent: int) -> int:
    """The next part of the input; answers how much is done with. It ends with a command that does
    not read it: that is no fault of the connection."""
    try:
        sent += channel.send(stdin[sent : sent + CHUNK])
    except OSError:
        if not channel.closed:
            raise
        return len(stdin)
    if sent == len(stdin):
        channel.shutdown_write()
    return sent


def printable(text: str, keep: str = "") -> str:
    """Foreign text without control characters, but for those that are to be kept."""
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)


def fit(size: int, most: int, what: str) -> None:
    if size > most:
        raise RemoteError(Failure.TOO_LARGE, f"{what} has more than {format_size(most)}")
