# SPDX-License-Identifier: GPL-2.0-only
"""Files and folders that are whole or absent: written atomically, locked, read packed or not."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import hashlib
import io
import itertools
import os
import shutil
import stat
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal

from harness.errors import HostError, ResultsError, SourceError


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes `path` whole or not at all, and durably; raises `HostError` when the disk is full."""
    temporary = path.with_name(f".{path.name}.{threading.get_native_id()}.tmp")
    payload = data.encode() if isinstance(data, str) else data
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # What has that name already was left by a killed writer, or leads elsewhere.
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def append_line(path: Path, *lines: str, mode: int = 0o644, linked: bool = False) -> None:
    """Adds lines to a file, durably and in one write; one that is new, and its folder, get `mode`.

    A line that a killed writer left without its end is closed first, so that it costs no other.
    Raises `HostError` when the disk is full: a part of a line may be left then. The file is a plain
    one with one name, but where it may be `linked`.
    """
    if not lines:
        return
    data = "".join(f"{line}\n" for line in lines).encode()
    with disk_errors(path):
        # Who may read a folder has to be able to enter it.
        path.parent.mkdir(mode=mode | (mode & 0o444) >> 2, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        file = os.open(path, flags, mode) if linked else open_plain(path, flags, mode)
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
    """Turns a full or read-only disk into a `HostError` that names the place and the remedy.

    What is no plain file where one is to be is a `ResultsError`.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ELOOP:
            remedy = "others may have put it there; remove it, or work in a copy of the folder"
            raise ResultsError(f"{error.strerror}", where=str(path), remedy=remedy) from None
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


MAX_EVIDENCE = 256 << 20
"""Bytes of one file of a boot, unpacked: a console is cut at 64 MiB, its index has more."""


def open_plain(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644, names: int = 1) -> int:
    """A descriptor of a plain file with so many names; it is made where `flags` say so.

    Raises `OSError` for a symbolic link, a hard link, a FIFO, a socket or a device: in a folder
    that others have filled each of them leads elsewhere, or nowhere for ever.
    """
    # Looked at before it is opened, which does things to some devices, and again after.
    with contextlib.suppress(FileNotFoundError):
        _plain(path.lstat(), names)
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    file = os.open(path, flags, mode)
    try:
        _plain(os.fstat(file), names)
    except OSError:
        os.close(file)
        raise
    return file


def _plain(found: os.stat_result, names: int) -> None:
    kinds = {stat.S_IFREG: "", stat.S_IFDIR: "is a folder", stat.S_IFLNK: "is a symbolic link"}
    what = kinds.get(stat.S_IFMT(found.st_mode), "is no plain file")
    if not what and found.st_nlink > names:
        what = "is a hard link: it has another name too"
    if what:
        raise OSError(errno.ELOOP, what)


def read_plain(path: Path, most: int = MAX_EVIDENCE, names: int = 1) -> bytes:
    """The bytes of a plain file; raises `OSError` as `open_plain`, or where they are too many."""
    return _read(open_plain(path, names=names), most)


def read_file(path: Path, most: int) -> bytes:
    """The same for a file that a person has named: it may be a link, or a FIFO of a shell."""
    return _read(os.open(path, os.O_RDONLY | os.O_CLOEXEC), most)


_PIECE = 16 << 20


def _read(descriptor: int, most: int) -> bytes:
    pieces, left = [], most + 1
    with os.fdopen(descriptor, "rb") as file:
        # Python makes room for as much as is asked for, which a small host may not have.
        while left and (piece := file.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    if not left:
        raise OSError(errno.EFBIG, f"has more than {_size(most)}")
    return b"".join(pieces)


def _size(most: int) -> str:
    return f"{most >> 20} MiB" if most >> 20 else f"{most >> 10} KiB"


def read_text(path: Path) -> str:
    """Reads a file of a results folder, compressed (``NAME.gz``) or not."""
    return read_bytes(path).decode("utf-8", "replace")


def read_bytes(path: Path, most: int = MAX_EVIDENCE) -> bytes:
    """Reads raw evidence, compressed (``NAME.gz``) or not; empty where there is none.

    Raises `ResultsError` for what is no plain file or has more than `most` bytes, and for a
    compressed file that is cut short, to nothing too, or altered.
    """
    packed = _packed(path)
    try:
        return read_plain(path, most)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ResultsError(f"cannot be read: {error.strerror}", where=str(path)) from None
    try:
        data = read_plain(packed, most)
        return unpack(data, most)
    except FileNotFoundError:
        return b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultsError(f"cannot be read: {reason}", where=str(packed)) from None


def unpack(data: bytes, most: int) -> bytes:
    """What gzip packed; raises `ValueError` where it is damaged, or has more than `most` bytes."""
    if not data:  # gzip takes it for a file of nothing
        raise ValueError("empty file")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            found = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(str(error)) from None
    if len(found) > most:
        raise ValueError(f"unpacks to more than {_size(most)}")
    return found


def need(path: Path) -> None:
    """Raises `ResultsError` where raw evidence is gone, compressed or not."""
    if not (os.path.lexists(path) or os.path.lexists(_packed(path))):
        raise ResultsError("no such file", where=str(path))


def _packed(path: Path) -> Path:
    return path.with_name(path.name + ".gz")


def open_lock(path: Path) -> IO[str]:
    """A lock file, to be read and written; it is made where it is not there."""
    file = open_plain(path, os.O_RDWR | os.O_CREAT)
    return os.fdopen(file, "r+", encoding="utf-8", errors="replace")


_PART = ".part-"


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Holds the lock file `path` and yields its descriptor; calls `waiting` before it has to wait.

    The lock lasts until every process that inherited the descriptor has ended.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open_lock(path)
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


_NAMES = ("pageinit-vm-", "pageinit-tmp-", _NEW := "pageinit-new-")
_YOUNG_S = 60.0
"""For which a new folder may be without its lock."""


class WorkDir:
    """A new private folder for temporary files of a `kind`.

    Those whose makers were killed are removed on the way. A maker holds a lock that ends with his
    process; his number would not tell, since /tmp may be shared with another PID namespace.
    """

    def __init__(self, kind: Literal["vm", "tmp"] = "vm", parent: Path = Path("/tmp")) -> None:
        _sweep(parent)
        # It gets the name that others look for once it is locked.
        new = Path(tempfile.mkdtemp(prefix=_NEW, dir=parent))
        self._held = _hold(new)
        name = new.name.replace(_NEW, f"pageinit-{kind}-{os.getpid()}-")
        self.path = new.rename(new.with_name(name))

    def write(self, name: str, data: bytes) -> None:
        """A new file, private as well."""
        path = self.path / name
        with disk_errors(path), private_file(path) as out:
            out.write(data)

    def remove(self) -> None:
        """With all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A `WorkDir` that ends with the block."""
    work = WorkDir("tmp", Path(tempfile.gettempdir()))
    try:
        yield work.path
    finally:
        work.remove()


def _sweep(parent: Path) -> None:
    late = time.time() - _YOUNG_S
    for old in (path for name in _NAMES for path in parent.glob(f"{name}*")):
        with contextlib.suppress(OSError):
            if old.name.startswith(_NEW) and old.lstat().st_mtime > late:
                continue
            held = _hold(old)
            shutil.rmtree(old, ignore_errors=True)
            os.close(held)


def _hold(path: Path) -> int:
    """Locks a folder; raises `OSError` where somebody else has."""
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held


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
