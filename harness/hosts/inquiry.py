# SPDX-License-Identifier: GPL-2.0-only
"""Questions to the porter of a host, one after the other, to one process there.

To start a Python for each of them would take longer than the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import resources
from typing import Any

from harness.errors import Failure, RemoteError
from harness.hosts import porter
from harness.ssh import Deadline, Link, Voice, fit
from harness.text import one_line
from harness.units import MIB

MAX_ANSWER = 8 * MIB
_MARK = porter.MARK.encode()
_START = "import sys; exec(sys.stdin.buffer.read(int(sys.argv.pop(1))))"
"""The program comes first in its input, and the questions after it."""


class Inquiry:
    """A porter that listens."""

    def __init__(self, voice: Voice, limit_s: float) -> None:
        self._voice, self._limit_s = voice, limit_s
        self._heard = bytearray()

    @cached_property
    def root(self) -> str:
        """The folder of all that is on the host for it; what a porter says first."""
        root = self._answer("python3", Deadline.after(self._limit_s))
        if not isinstance(root, str) or not re.fullmatch(r"/[^\0-\x1f]{1,1000}", root):
            raise RemoteError(Failure.BAD_ANSWER, "does not say where its files are")
        return root

    def ask(self, *words: str, limit_s: float | None = None) -> Any:
        """Has the porter do something; raises `RemoteError` where it cannot."""
        limit = limit_s or self._limit_s
        if self.root:
            self._voice.say(json.dumps(words).encode() + b"\n", limit)
        found = self._answer(words[0], Deadline.after(limit))
        match found:
            case {"error": str(said)}:
                raise RemoteError(Failure.COMMAND, f"{words[0]}: {one_line(said, 300)}")
        return found

    def _answer(self, word: str, deadline: Deadline) -> Any:
        while not (line := self._line(word, deadline)).startswith(_MARK):
            pass
        try:
            return json.loads(line[len(_MARK) :])
        except (ValueError, RecursionError):
            raise RemoteError(Failure.BAD_ANSWER, f"{word}: no JSON") from None

    def _line(self, word: str, deadline: Deadline) -> bytes:
        """The next line; what its shell says first is none of ours."""
        while (end := self._heard.find(b"\n")) < 0:
            fit(len(self._heard), MAX_ANSWER, f"{word}: its answer")
            heard = self._voice.hear(deadline.remaining)
            if heard is None:
                raise RemoteError(Failure.SILENT, f"{word}: no answer in time")
            if not heard:
                raise self._gone(word)
            self._heard += heard
        line = bytes(self._heard[:end])
        del self._heard[: end + 1]
        return line

    def _gone(self, word: str) -> RemoteError:
        done = self._voice.end()
        if done.status < 0:
            return RemoteError(Failure.CLOSED, f"{word}: a signal or the connection ended it")
        return RemoteError(Failure.COMMAND, f"{word}: status {done.status}: {done.complaint}")


@contextmanager
def open_inquiry(link: Link) -> Iterator[Inquiry]:
    """A porter on a host, as long as it is needed."""
    program = resources.files("harness.hosts").joinpath("porter.py").read_bytes()
    argv = ["python3", "-I", "-S", "-c", _START, str(len(program)), "answer"]
    with link.converse(argv) as voice:
        voice.say(program, link.limits.command_s)
        yield Inquiry(voice, link.limits.command_s)
