# SPDX-License-Identifier: GPL-2.0-only
"""The cache folder: what is slow to make and can be made again. Nothing half-made counts in it.

sources/<base>/    repo.git, source.json: a base kernel source as a git tree
prebuilt/<kernel>/ a kernel that a distribution built
work/<base>/       linux/: the work tree in which kernels are built, with its build folders
kernels/<id>/      bzImage, System.map, .config, build.log, kernel.json, build.json
initramfs/ plugin/ programs of the guest, and the plugin of QEMU, compiled
warnings/<id>.json what the compiler says of a tree
ccache/            objects of the compiler, where ccache is installed
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.errors import HostError

_PART = ".part-"
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """``$PAGEINIT_CACHE``, else ``$XDG_CACHE_HOME/pageinit``, else ``~/.cache/pageinit``."""
    if own := environ.get("PAGEINIT_CACHE"):
        return Path(own).absolute()
    # The XDG specification says to ignore a relative path.
    if (base := environ.get("XDG_CACHE_HOME", "")).startswith("/"):
        return Path(base) / "pageinit"
    return Path(environ.get("HOME") or Path.home()) / ".cache" / "pageinit"


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


def sweep(folder: Path) -> None:
    """Removes what killed processes left in `folder`. Call it with the folder's lock held."""
    for part in folder.glob(f"{_PART}*"):
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns a full or read-only disk into a `HostError` that names the place and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise HostError(
            f"cannot write: {error.strerror}",
            where=str(error.filename or path),
            remedy="make room (20 GiB are plenty), or name another folder in PAGEINIT_CACHE",
        ) from None


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
