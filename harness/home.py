# SPDX-License-Identifier: GPL-2.0-only
"""The home folder that hosts share with us, in place of a connection to each of them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.command import MAX_ANSWER, Done, Limits, fit
from harness.errors import Failure, RemoteError

COMMAND_S = 60


class Home:
    """What is done on a host is done here; a copy of a file is a copy."""

    limits = Limits()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        limit_s: float | None = None,
        max_bytes: int = MAX_ANSWER,
    ) -> Done:
        """Runs a program to its end."""
        seconds, words = limit_s or COMMAND_S, list(argv)
        try:
            done = subprocess.run(
                words, input=stdin, capture_output=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise RemoteError(Failure.SILENT, f"{argv[0]}: no end within {seconds:g} s") from None
        except OSError as error:
            raise RemoteError(Failure.COMMAND, f"{argv[0]}: {error.strerror}") from None
        fit(len(done.stdout), max_bytes, f"{argv[0]}: its answer")
        return Done(done.returncode, done.stdout, done.stderr)

    def put(self, local: Path, remote: str, *, limit_s: float, start: int = 0) -> str:
        """Copies a file into it, whole before it has its name; answers its sha256."""
        return _copy(local, Path(remote))

    def get(self, remote: str, local: Path, *, max_bytes: int, limit_s: float) -> str:
        """Copies a file out of it; answers its sha256."""
        source = Path(remote)
        try:
            fit(source.stat().st_size, max_bytes, remote)
        except OSError as error:
            raise RemoteError(Failure.COMMAND, f"{remote}: {error.strerror}") from None
        return _copy(source, local)


def _copy(source: Path, target: Path) -> str:
    part = target.with_name(f"{target.name}.part")
    try:
        data = source.read_bytes()
        part.touch(mode=0o600)
        part.write_bytes(data)
        part.rename(target)
    except OSError as error:
        raise RemoteError(Failure.COMMAND, f"a copy failed: {error.strerror}") from None
    return hashlib.sha256(data).hexdigest()
