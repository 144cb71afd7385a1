# SPDX-License-Identifier: GPL-2.0-only
"""Files and folders that are whole or absent: written atomically, locked, read packed or not."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import hashlib
import itertools
import os
import shutil
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from harness.errors import HostError, ResultsError, SourceError


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes `path` whole or not at all, and durably; raises `HostError` when the disk is full."""
    temporary = path.with_name(f".{path.name}.{threading.get_native_id()}.tmp")
    payload = data.encode() if isinstance(data, str) else data
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def append_line(path: Path, *lines: str, mode: int = 0o644) -> None:
    """Adds lines to a file, durably and in one write; one that is new, and its folder, get `mode`.

    A line that a killed writer left without its end is closed first, so that it costs no other.
    Raises `HostError` when the disk is full: a part of a line may be left then.
    """
    if not lines:
        return
    data = "".join(f"{line}\n" for line in lines).encode()
    with disk_errors(path):
        # Who may read a folder has to be able to enter it.
        path.parent.mkdir(mode=mode | (mode & 0o444) >> 2, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, mode)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                data = b"\n" + data
            while data:  # a disk that fills up takes a part first
                data = data[os.write(file, data) :]
            os.fsync(file)
        finally:
            os.close(file)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns a full or read-only disk into a `HostError` that names the place and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise HostError(
            f"cannot write: {error.strerror}",
            where=str(path),
            remedy="make room or name another folder (for kernels: PAGEINIT_CACHE); what is"
            " finished is kept, start again to go on",
        ) from None


def private_file(path: Path) -> IO[bytes]:
    """A new file that nobody else may read; an error where there is one already."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def read_text(path: Path) -> str:
    """Reads a file of a results folder, compressed (``NAME.gz``) or not."""
    return read_bytes(path).decode("utf-8", "replace")


def read_bytes(path: Path) -> bytes:
    """Reads raw evidence, compressed (``NAME.gz``) or not; empty where there is none.

    Raises `ResultsError` for a compressed file that is cut short, to nothing too, or altered.
    """
    if path.is_file():
        return path.read_bytes()
    packed = _packed(path)
    if not packed.is_file():
        return b""
    try:
        data = packed.read_bytes()
        if not data:  # gzip takes it for a file of nothing
            raise EOFError("empty file")
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ResultsError(f"cannot be read: {error}", where=str(packed)) from None


def need(path: Path) -> None:
    """Raises `ResultsError` where raw evidence is gone, compressed or not."""
    if not (path.is_file() or _packed(path).is_file()):
        raise ResultsError("no such file", where=str(path))


def _packed(path: Path) -> Path:
    return path.with_name(path.name + ".gz")


_PART = ".part-"


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Holds the lock file `path` and yields its descriptor; calls `waiting` before it has to wait.

    The lock lasts until every process that inherited the descriptor has ended.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


@contextlib.contextmanager
def filling(final: Path) -> Iterator[Path]:
    """Yields an empty folder that gets the name `final` at the end, when no error came.

    What had that name before is replaced. Call it with a lock held.
    """
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=final.parent))
        try:
            yield part
            part.chmod(0o755)
            _sync(part)
            _replace(part, final)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def kept(path: Path, make: Callable[[Path], object]) -> Path:
    """Answers `path`, the one file of a folder, which `make` writes where it is not there.

    A file that is not what was recorded when it was made is set aside with its folder, and made
    anew. Call it with a lock held.
    """
    final, record = path.parent, "sha256"
    with contextlib.suppress(OSError):
        if (final / record).read_text() == sha256_of(path):
            return path
    if final.exists():
        set_aside(final)
    with filling(final) as part:
        make(part / path.name)
        (part / record).write_text(sha256_of(part / path.name))
    return path


def set_aside(folder: Path) -> Path:
    """Gives a folder that is damaged a name that nobody looks for, and answers it."""
    for number in itertools.count(1):
        aside = folder.with_name(f"damaged-{folder.name}-{number}")
        if not aside.exists():
            break
    return folder.rename(aside)


def sweep(folder: Path) -> None:
    """Removes what killed processes left in `folder`. Call it with the folder's lock held."""
    for part in folder.glob(f"{_PART}*"):
        shutil.rmtree(part, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Makes the contents durable before the name is: a power cut leaves no named empty file."""
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())


def _replace(part: Path, final: Path) -> None:
    if final.exists():
        old = Path(tempfile.mkdtemp(prefix=_PART, dir=final.parent))
        final.rename(old / "old")
        part.rename(final)
        shutil.rmtree(old, ignore_errors=True)
    else:
        part.rename(final)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, sha256: str, size: int | None = None) -> None:
    """Raises `SourceError` when a file is not the one asked for."""
    there = path.stat().st_size
    if size is not None and there < size:
        raise SourceError(
            f"cut short: {there} of {size} bytes", where=path.name, remedy="start again"
        )
    got = sha256_of(path)
    if got != sha256:
        raise SourceError(f"sha256 is {got}, expected {sha256}", where=path.name)
