# SPDX-License-Identifier: GPL-2.0-only
"""The runs of a block on their way from a host: one tar.gz, limited in files and bytes.

What comes is foreign: it is unpacked below one folder, plain files alone, and not a byte beyond
the limits, whatever its headers say.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path

from harness.errors import Failure, RemoteError
from harness.files import disk_errors
from harness.units import GIB, MIB

MAX_ARCHIVE = 256 * MIB
MAX_FILE = 256 * MIB
MAX_FILES = 64
"""Of one boot, its earlier attempts and folders included."""
MAX_BOOT = GIB
MAX_DEPTH = 16
"""Folders in each other: who goes down into them does so by recursion."""
_KINDS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)


def pack(folder: Path, names: tuple[str, ...], most: int = MAX_ARCHIVE) -> bytes:
    """What there is of these files and folders; nothing but plain files of them.

    Raises `ValueError` where that is more than `most` bytes.
    """
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", compresslevel=1) as archive:
        for name in names:
            if (folder / name).exists():
                archive.add(folder / name, name, filter=lambda m: m if m.type in _KINDS else None)
    if data.tell() > most:
        raise ValueError(f"its results have {data.tell()} bytes, packed")
    return data.getvalue()


def unpack(data: object, folder: Path, boots: int, most: int = MAX_BOOT) -> None:
    """Writes the files of an archive, private, below a folder, within the limits of so many boots.

    Those are `most` bytes and `MAX_FILES` files for each, and `MAX_FILE` bytes for a file.

    Raises `RemoteError` where it is none, or holds anything else.
    """
    if not isinstance(data, bytes) or len(data) > MAX_ARCHIVE:
        raise RemoteError(Failure.BAD_ANSWER, "sends no archive of results")
    files, left = 0, boots * most
    try:
        with (
            disk_errors(folder),
            _Stream(data) as stream,
            tarfile.open(fileobj=stream, mode="r:") as archive,
        ):
            folder.mkdir(mode=0o700, parents=True)
            for member in archive:
                files, left = files + 1, left - member.size
                deep = member.name.count("/") > MAX_DEPTH
                if deep or member.type not in _KINDS or not 0 <= member.size <= MAX_FILE:
                    raise RemoteError(Failure.BAD_ANSWER, "sends what is no plain file")
                if files > boots * MAX_FILES or left < 0:
                    raise RemoteError(Failure.TOO_LARGE, "has made too many files, or too large")
                archive.extract(member, folder, filter=_private)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise RemoteError(Failure.BAD_ANSWER, f"sends damaged results: {error}"[:200]) from None


def _private(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    safe = tarfile.data_filter(member, path)
    return safe.replace(mode=0o700 if safe.isdir() else 0o600, deep=False)


class _Stream(gzip.GzipFile):
    """What the archive unpacks to, never much at once: a header may claim to be very long."""

    def __init__(self, data: bytes) -> None:
        super().__init__(fileobj=io.BytesIO(data), mode="rb")

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MIB:
            raise ValueError("a header is too long")
        return super().read(size)
