# SPDX-License-Identifier: GPL-2.0-only
"""The home folder that hosts share with us, in place of a connection to each of them."""

from __future__ import annotations

import hashlib
import os
import select
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.errors import Failure, RemoteError
from harness.ssh import CHUNK, LAST_S, MAX_ANSWER, Done, SSHTimeouts, fit

COMMAND_S = 60


class Home:
    """What is done on a host is done here; a copy of a file is a copy."""

    limits = SSHTimeouts()

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

    @contextmanager
    def converse(self, argv: Sequence[str]) -> Iterator[PipeVoice]:
        """Runs a program that we talk to while it runs; it is killed at the end."""
        pipe = subprocess.PIPE
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(list(argv), stdin=pipe, stdout=pipe, stderr=said)
            except OSError as error:
                raise RemoteError(Failure.COMMAND, f"{argv[0]}: {error.strerror}") from None
            with process:
                try:
                    yield PipeVoice(process, said)
                finally:
                    process.kill()

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


@dataclass(frozen=True)
class PipeVoice:
    """A program at the other end of two pipes."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def say(self, data: bytes, limit_s: float) -> None:
        """Sends all of it; a porter reads at once."""
        assert self.process.stdin
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except OSError as error:
            raise RemoteError(Failure.CLOSED, f"it ended: {error.strerror}") from None

    def hear(self, limit_s: float) -> bytes | None:
        """What it says next."""
        assert self.process.stdout
        if select.select([self.process.stdout], [], [], limit_s)[0]:
            return os.read(self.process.stdout.fileno(), CHUNK)
        return None

    def end(self) -> Done:
        """How it ended."""
        try:
            status = self.process.wait(LAST_S)
        except subprocess.TimeoutExpired:
            status = -1
        self.said.seek(0)
        return Done(status, b"", self.said.read(CHUNK))


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
