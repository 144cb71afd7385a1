# SPDX-License-Identifier: GPL-2.0-only
"""A serial port of the guest: bytes as they came, each chunk stamped on arrival."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from harness.dmesg import Chunk
from harness.results import disk_errors

MAX_BYTES = 64 << 20
"""A guest that floods its console fills neither disk nor memory."""

MAX_CHUNKS = 1 << 20

PIPE_BYTES = 1 << 20
"""How far the reader may lag before the guest can notice: what an ordinary user may ask for."""

Arrival = Callable[[bytes, float], None]


class Port(asyncio.Protocol):
    """Reads one serial port of QEMU from a FIFO and writes what comes to a file.

    Chunks carry seconds since `start` on the monotonic clock. `on_data` gets each chunk with the
    monotonic time of its arrival. Raises `HostError` from `close` when the disk was full.
    """

    def __init__(self, path: Path, start: float, on_data: Arrival) -> None:
        self._path = path
        self._start = start
        self._on_data = on_data
        with disk_errors(path):
            self._file = path.open("wb")
        self._size = 0
        self._error: OSError | None = None
        self._transport: asyncio.BaseTransport | None = None
        self._pipe = -1
        self.chunks: list[Chunk] = []

    async def listen(self, fifo: Path) -> None:
        """Makes the FIFO and starts to read; QEMU opens it while it builds the machine."""
        os.mkfifo(fifo, 0o600)
        # Open for writing too, or the FIFO would be at its end until QEMU comes.
        self._pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        pipe = os.fdopen(self._pipe, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: self, pipe)

    def data_received(self, data: bytes) -> None:
        """Stamps, keeps and passes on what came."""
        now = time.monotonic()
        kept = data[: MAX_BYTES - self._size]
        if kept and self._error is None:
            try:
                self._file.write(kept)
                self._file.flush()
            except OSError as error:
                self._error = error
            if len(self.chunks) < MAX_CHUNKS:
                self.chunks.append(Chunk(self._size, len(kept), round(now - self._start, 6)))
            self._size += len(kept)
        self._on_data(data, now)

    def close(self) -> None:
        """Ends the file when QEMU has ended; what a full disk refused is an error now."""
        if self._transport:
            with contextlib.suppress(BlockingIOError):
                while True:  # what QEMU wrote last
                    self.data_received(os.read(self._pipe, PIPE_BYTES))
            self._transport.close()
        with disk_errors(self._path):
            self._file.close()
            if self._error:
                raise self._error
