# SPDX-License-Identifier: GPL-2.0-only
"""A serial port of the guest: bytes as they came, each chunk stamped on arrival."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from harness.dmesg import Chunk
from harness.results import disk_errors

MAX_BYTES = 64 << 20
"""A guest that floods its console fills neither disk nor memory."""

MAX_CHUNKS = 1 << 20

Arrival = Callable[[bytes, float], None]


class Port(asyncio.Protocol):
    """Listens on a UNIX socket for one serial port of QEMU and writes what comes to a file.

    Chunks carry seconds since `start` on the monotonic clock. `on_data` gets each chunk with the
    monotonic time of its arrival. Raises `HostError` from `close` when the disk was full.
    """

    def __init__(self, path: Path, start: float, on_data: Arrival) -> None:
        self._path = path
        self._start = start
        self._on_data = on_data
        self._file = path.open("wb")
        self._size = 0
        self._error: OSError | None = None
        self._transport: asyncio.BaseTransport | None = None
        self.chunks: list[Chunk] = []

    async def listen(self, socket: str) -> asyncio.Server:
        """Starts to listen; QEMU connects while it builds the machine."""
        return await asyncio.get_running_loop().create_unix_server(lambda: self, socket)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

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
        """Ends the file; what a full disk refused is an error now, when QEMU has ended."""
        if self._transport:
            self._transport.close()
        with disk_errors(self._path):
            self._file.close()
            if self._error:
                raise self._error
