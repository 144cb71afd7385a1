# SPDX-License-Identifier: GPL-2.0-only
"""The files of a block as they come from a host: one after the other, compressed, in one file.

It is foreign. What it is to hold was said before, path, size and hash of each; not a byte more is
unpacked than that.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from harness.errors import Failure, RemoteError
from harness.files import disk_errors, private_file
from harness.units import MIB

CHUNK = MIB

File = tuple[str, int, str]
"""Path, bytes and SHA-256."""


def most(files: Sequence[File]) -> int:
    """Bytes that a bundle of these files can have: what does not shrink grows a little (zlib)."""
    total = sum(size for _, size, _ in files)
    return total + total // 1000 + 1024


def unpack(bundle: Path, files: Sequence[File], into: Path) -> None:
    """Writes these files, private, below a folder; their paths have been checked before.

    Raises `RemoteError` where the bundle holds anything else.
    """
    if len({name for name, _, _ in files}) != len(files):
        raise RemoteError(Failure.BAD_ANSWER, "offers a file twice")
    with disk_errors(into), bundle.open("rb") as source:
        stream = _Stream(source)
        for name, size, sha256 in files:
            path, digest = into / name, hashlib.sha256()
            path.parent.mkdir(parents=True, exist_ok=True)
            with private_file(path) as target:
                for data in stream.take(size):
                    digest.update(data)
                    target.write(data)
            if digest.hexdigest() != sha256:
                raise RemoteError(Failure.BAD_ANSWER, f"{name} changed on the way")
        stream.end()


class _Stream:
    """What a compressed file unpacks to, no more at once than is asked for."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._zlib = zlib.decompressobj()

    def take(self, size: int) -> Iterator[bytes]:
        """So many bytes, in pieces."""
        while size:
            if not (data := self._some(min(size, CHUNK))):
                raise RemoteError(Failure.BAD_ANSWER, "sends less than it says")
            size -= len(data)
            yield data

    def end(self) -> None:
        """Raises `RemoteError` unless nothing is left, in it or behind it."""
        if self._some(1) or self._zlib.unused_data or self._source.read(1):
            raise RemoteError(Failure.BAD_ANSWER, "sends more than it says")
        if not self._zlib.eof:
            raise RemoteError(Failure.BAD_ANSWER, "sends less than it says")

    def _some(self, most: int) -> bytes:
        while not self._zlib.eof:
            packed = self._zlib.unconsumed_tail or self._source.read(CHUNK)
            try:
                data = self._zlib.decompress(packed, most)
            except zlib.error as error:
                raise RemoteError(Failure.BAD_ANSWER, f"sends damaged results: {error}") from None
            if data or not packed:
                return data
        return b""
