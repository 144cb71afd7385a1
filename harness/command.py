# SPDX-License-Identifier: GPL-2.0-only
"""What goes in and out of one command over a channel of SSH, neither more than is allowed."""

from __future__ import annotations

import select
from dataclasses import dataclass

import paramiko

from harness.errors import Failure, RemoteError
from harness.quantity import KIB, format_size

CHUNK = 32 * KIB


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    stdout: bytes
    stderr: bytes


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


def fit(size: int, most: int, what: str) -> None:
    if size > most:
        raise RemoteError(Failure.TOO_LARGE, f"{what} has more than {format_size(most)}")
