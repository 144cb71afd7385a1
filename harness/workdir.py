# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's working directory: its FIFOs and sockets, private, and gone with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from harness.results import disk_errors, private_file

_NAME, _NEW = "pageinit-vm-", "pageinit-new-"


class WorkDir:
    """A new one, in /tmp: a UNIX socket's name has 108 bytes, too few for the folder of a run.

    Those whose makers were killed are removed on the way. A maker holds a lock that ends with his
    process; his number would not tell, since /tmp may be shared with another PID namespace.
    """

    def __init__(self) -> None:
        _sweep()
        # It gets the name that others look for once it is locked.
        new = Path(tempfile.mkdtemp(prefix=_NEW, dir="/tmp"))
        self._held = _hold(new)
        self.path = new.rename(new.with_name(f"{_NAME}{os.getpid()}-{new.name[len(_NEW) :]}"))

    def write(self, name: str, data: bytes) -> None:
        """A new file, private as well."""
        path = self.path / name
        with disk_errors(path), private_file(path) as out:
            out.write(data)

    def remove(self) -> None:
        """With all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._held)


def _sweep() -> None:
    for old in Path("/tmp").glob(f"{_NAME}*"):
        with contextlib.suppress(OSError):
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
