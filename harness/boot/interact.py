# SPDX-License-Identifier: GPL-2.0-only
"""The terminal of who starts a boot, at the guest's console.

pexpect copies between terminal and console, and puts the terminal back as it was. It copies in a
thread, over a socket pair: the console goes through the event loop all the same, stamped and kept
as evidence, and the copying ends when our end of the pair is closed, whatever the person does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pexpect

from harness.errors import UserError
from harness.text import Shared

ESCAPE, ESCAPE_NAME = "\x1d", "Ctrl-]"
"""What telnet and virsh leave by."""

_ENDS = (signal.SIGTERM, signal.SIGHUP)
"""Their end would be one without a terminal that is put back, nor a record."""

MAX_WAITING = 1 << 20
"""Bytes that a terminal may be behind; what is more is in console.log alone."""


class Terminal:
    """Standard input and output, joined to a console within the block.

    `left` is set when the person has left, the terminal is gone, or a signal to end came;
    `on_leave` is called then. Raises `UserError` where there is no terminal.
    """

    def __init__(self) -> None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UserError("no terminal", where="--interact", remedy="start it in a terminal")
        self.left = asyncio.Event()
        self.on_leave: Callable[[], None] = lambda: None
        self.on_type: Callable[[bytes], None] = lambda data: None
        self._shared = Shared()
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _ENDS:
            loop.add_signal_handler(number, self._leave)
        ours, theirs = socket.socketpair()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._tasks = [
            loop.run_in_executor(None, self._copy, theirs, loop),
            asyncio.ensure_future(self._read(reader)),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._writer
        self._writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for number in _ENDS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def show(self, data: bytes) -> None:
        """Shows what the guest has printed, less what would do more than edit a line."""
        writer = None if self.left.is_set() else self._writer
        if writer and writer.transport.get_write_buffer_size() < MAX_WAITING:
            writer.write(self._shared(data))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(4096):
            self.on_type(data)

    def _copy(self, console: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        try:
            with console, contextlib.suppress(OSError, EOFError):
                _Joined(console.fileno()).interact(ESCAPE, input_filter=_typed)
        finally:
            loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        self.left.set()
        self.on_leave()


class _Joined(pexpect.spawn):  # type: ignore[type-arg]  # not generic when it runs
    """A descriptor as if it were a program's, which runs until its other end is closed."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # documented: no program is started
        self.child_fd = descriptor

    def isalive(self) -> bool:
        return True


def _typed(data: bytes) -> bytes:
    if not data:  # pexpect would ask a terminal that is gone for ever
        raise EOFError
    return data
