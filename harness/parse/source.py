# SPDX-License-Identifier: GPL-2.0-only
"""A log from a file, a pipe or a device: unpacked by what it holds, in memory that is bounded.

Of what is longer than `dmesg` reads the two ends are kept. What grows is read as it comes.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import select
import stat
import sys
import time
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from harness.errors import UserError
from harness.parse.dmesg import MAX_BYTES

MAX_UNPACKED = 1 << 30
"""Bytes that are read of what has no end to seek to: a few bytes may unpack to anything."""
STANDARD_INPUT = "-"
_HALF = MAX_BYTES // 2 + 1
"""So much of each end that `dmesg` sees that something is missing between them."""
_BLOCK = 1 << 20


def _zstd(file: IO[bytes]) -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdFile(file)


_PACKED: tuple[tuple[bytes, Any], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ", lzma.LZMAFile),
    (b"\x5d\x00\x00", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", _zstd),
)
"""How packed data begins, and what unpacks it."""


class Ends:
    """The two ends of bytes that come one after another, each at most `_HALF` and a block."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._size = 0

    def add(self, block: bytes) -> None:
        """Takes the next bytes."""
        room = _HALF - len(self._head)
        if room > 0:
            self._head += block[:room]
            block = block[room:]
        if block:
            self._tail.append(block)
            self._size += len(block)
            while self._size - len(self._tail[0]) > _HALF:
                self._size -= len(self._tail.popleft())

    def __bytes__(self) -> bytes:
        return b"".join((self._head, *self._tail))


def read(name: str) -> bytes:
    """The log, or its two ends; ``-`` is standard input.

    Packed by gzip, bzip2, xz or zstd under any name. Raises `UserError` for what cannot be read or
    is damaged.
    """
    try:
        if name == STANDARD_INPUT:
            return _ends(sys.stdin.buffer)
        handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if stat.S_ISCHR(os.fstat(handle).st_mode):
                return _device(handle)
            return _ends(file)
    except Exception as error:
        known = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
        # The last is of a module that is loaded where it is needed only.
        if not isinstance(error, known) and type(error).__name__ != "ZstdError":
            raise
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: Exception) -> UserError:
    why = getattr(error, "strerror", None) or error
    return UserError(f"cannot be read: {why}", where=name)


def _ends(file: Any) -> bytes:
    magic = file.peek(6)[:6]
    opener = next((opener for begin, opener in _PACKED if magic.startswith(begin)), None)
    ends = Ends()
    if opener is None and stat.S_ISREG((found := os.fstat(file.fileno())).st_mode):
        ends.add(file.read(_HALF))
        file.seek(max(file.tell(), found.st_size - _HALF))
        ends.add(file.read(_HALF + _BLOCK))
        return bytes(ends)
    unpacked = opener(file) if opener else file
    left = MAX_UNPACKED
    while left > 0 and (
        block := unpacked.read1(_BLOCK) if opener is None else unpacked.read(_BLOCK)
    ):
        ends.add(block)
        left -= len(block)
    return bytes(ends)


def _device(handle: int) -> bytes:
    """What a device has now: /dev/kmsg gives a record a time, and would wait for the next."""
    os.set_blocking(handle, False)
    ends, left = Ends(), MAX_UNPACKED
    while left > 0:
        try:
            block = os.read(handle, _BLOCK)
        except BlockingIOError:
            break
        except BrokenPipeError:  # records that were overwritten meanwhile
            continue
        if not block:
            break
        ends.add(block)
        left -= len(block)
    return bytes(ends)


def grow(name: str, pause: float) -> Iterator[bytes]:
    """What is in a log, and then what comes, an empty piece after each `pause` s without news.

    Ends where a pipe does; a file has no end. One that is not there yet is waited for, and one
    that was cut or replaced is read from its begin.
    """
    handle = sys.stdin.fileno() if name == STANDARD_INPUT else -1
    try:
        while handle < 0:
            try:
                handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                yield b""
                time.sleep(pause)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            yield from _file(name, handle, pause)
        else:
            yield from _pipe(handle, pause)
    except OSError as error:
        raise _unreadable(name, error) from None
    finally:
        if handle > 0 and name != STANDARD_INPUT:
            with contextlib.suppress(OSError):  # `_file` may have closed it for another
                os.close(handle)


def _pipe(handle: int, pause: float) -> Iterator[bytes]:
    while True:
        if not select.select([handle], [], [], pause)[0]:
            yield b""
            continue
        block = os.read(handle, _BLOCK)
        if not block:
            return
        yield block


def _file(name: str, handle: int, pause: float) -> Iterator[bytes]:
    at = 0
    while True:
        block = os.pread(handle, _BLOCK, at)
        at += len(block)
        yield block
        if block:
            continue
        time.sleep(pause)
        with contextlib.suppress(FileNotFoundError):
            now = Path(name).stat() if name != STANDARD_INPUT else os.fstat(handle)
            if now.st_size < at or now.st_ino != os.fstat(handle).st_ino:
                again = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
                os.dup2(again, handle)
                os.close(again)
                at = 0
