# SPDX-License-Identifier: GPL-2.0-only
"""Takes a block to a host and brings its results back, over one connection.

Files go there by hash, only those that are lacking, compressed, from where an earlier try broke
off, and count when their hash is right. What comes back is foreign: paths have to be those of boots
that were asked for, sizes are limited, hashes are compared.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from harness import files as store
from harness.errors import Failure, RemoteError
from harness.files import write_atomic
from harness.hosts import bundle, porter, wheel
from harness.hosts.inquiry import Inquiry, open_inquiry
from harness.hosts.parcel import Files, Lender, Packed
from harness.model import Model, Slot
from harness.ssh import Link, lines, understand
from harness.text import one_line
from harness.units import GIB, MIB

MAX_FILE = 256 * MIB
MAX_FILES = 64
"""Files of one boot, its earlier attempts included."""
SLOWEST = 100_000
"""Bytes a second that a copy has to make at least."""
SETUP_S = 900

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_ATTEMPT = re.compile(r"(\.attempt\d{1,4}|\.part)?")
"""What is behind the name of a block where a boot did not come to its end; evidence, no run."""


class Outcome(Model):
    """How a worker ended."""

    cause: Literal["ended", "deadline", "no-worker", "lost", "not-begun"]
    status: int = Field(ge=-255, le=255)


class State(Model):
    """What a host says of a block: no outcome while it runs."""

    outcome: Outcome | None
    said: Annotated[str, Field(max_length=4000), BeforeValidator(lines)]

    @property
    def good(self) -> bool:
        return self.outcome == Outcome(cause="ended", status=0)

    @property
    def words(self) -> str:
        """The outcome in a line."""
        if not self.outcome:
            return "still runs"
        last = self.said.strip().rpartition("\n")[2][:300]
        return f"{self.outcome.cause}, status {self.outcome.status}: {last}"


class Made(Model):
    """The files that a block has made: path, size and SHA-256."""

    files: tuple[
        tuple[
            str,
            Annotated[int, Field(ge=0, le=MAX_FILE)],
            Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")],
        ],
        ...,
    ] = Field(max_length=100_000)


@dataclass(frozen=True)
class Courier:
    """Goes between this machine and a host that we are logged in to."""

    connection: Link
    porter: Inquiry
    host: Lender
    cache: Path

    @classmethod
    @contextmanager
    def at(cls, link: Link, host: Lender, cache: Path) -> Iterator[Courier]:
        """One that has a porter to ask there."""
        with open_inquiry(link) as inquiry:
            yield cls(link, inquiry, host, cache)

    def deliver(self, block: str, packed: Packed) -> None:
        """Brings all that a block needs; its parcel last."""
        self._send({**packed.files, **self._wheel()})
        self.porter.ask("accept", block, packed.parcel.model_dump_json())

    def launch(self, block: str, seconds: float) -> None:
        """Begins a block that was delivered, unless it has begun."""
        self.porter.ask("launch", block, f"{seconds:.0f}", self.python(), wheel.name())

    def equip(self, *more: str) -> list[str]:
        """Brings the harness; answers the words before the name of a module that is to run."""
        self._send(self._wheel())
        path = f"PYTHONPATH={self.porter.root}/files/{wheel.name()}"
        return ["env", path, "PYTHONDONTWRITEBYTECODE=1", self.python(*more), "-s", "-m"]

    def wait(self, block: str, seconds: float) -> State:
        """What has become of a block: as soon as it has ended, or after so long."""
        limit = seconds + self.connection.limits.command_s
        return understand(
            State, self.porter.ask("wait", block, f"{seconds:g}", limit_s=limit), "answer"
        )

    def fetch(self, block: str, slots: Sequence[Slot], into: Path) -> None:
        """Copies the results of a block that has ended into a folder of its own."""
        files = understand(
            Made, {"files": self.porter.ask("bundle", block, limit_s=600)}, "list"
        ).files
        if len(files) > MAX_FILES * len(slots):
            raise RemoteError(Failure.TOO_LARGE, f"has made {len(files)} files")
        if sum(size for _, size, _ in files) > len(slots) * GIB:
            raise RemoteError(Failure.TOO_LARGE, "has made more than 1GiB a boot")
        for name, _, _ in files:
            check_path(name, slots)
        into.mkdir(parents=True, exist_ok=True)
        most, packed = bundle.most(files), into / porter.BUNDLE
        remote = f"{self.porter.root}/blocks/{block}/{porter.BUNDLE}"
        self.connection.get(remote, packed, max_bytes=most, limit_s=30 + most / SLOWEST)
        bundle.unpack(packed, files, into)
        packed.unlink()

    def remove(self, block: str) -> None:
        """Removes what a block left on the host."""
        self.porter.ask("remove", block)

    def _wheel(self) -> Files:
        return {wheel.name(): self._kept(f"{wheel.name()}.whl", wheel.build)}

    def _send(self, files: Files) -> None:
        """One of us at a time: two that write the same file there would spoil it for each other."""
        if self._lacking(files):
            who = hashlib.sha256(repr(self.host).encode()).hexdigest()[:12]
            with store.locked(self.cache / "fleet" / f".{who}.lock"):
                for name, there in self._lacking(files).items():
                    self._bring(name, files[name], there)

    def _lacking(self, files: Files) -> dict[str, int]:
        """Which of these files a host lacks, and how many bytes of each it has all the same."""
        lacking = self.porter.ask("lacks", *files)
        if not isinstance(lacking, dict) or not lacking.keys() <= files.keys():
            raise RemoteError(Failure.BAD_ANSWER, "does not say which files it lacks")
        return {name: there if isinstance(there, int) else 0 for name, there in lacking.items()}

    def _bring(self, name: str, path: Path, there: int) -> None:
        packed = self._compressed(name, path)
        size = packed.stat().st_size
        start = there if 0 < there <= size else 0
        limit = 30 + size / SLOWEST
        remote = f"{self.porter.root}/files/{name}.zz"
        self.connection.put(packed, remote, limit_s=limit, start=start)
        if self.porter.ask("unpack", name, limit_s=limit) is not True:
            raise RemoteError(Failure.BAD_ANSWER, f"{path.name} did not arrive whole")

    def _compressed(self, name: str, path: Path) -> Path:
        """The file as it is sent; the same bytes each time, so that a copy can go on."""
        return self._kept(f"{name}.zz", lambda: zlib.compress(path.read_bytes(), 6))

    def _kept(self, name: str, make: Callable[[], bytes]) -> Path:
        """A file of our own cache, made where it is not there; others may want it too."""
        path = self.cache / "fleet" / name
        with store.locked(path.with_name(".lock")):
            if not path.is_file():
                write_atomic(path, make())
        return path

    def python(self, *more: str) -> str:
        """The interpreter that a worker runs under; a virtual environment, if none is named.

        In that are what a worker needs, and `more`, in the versions used here.
        """
        if self.host.python:
            return self.host.python
        pins = [f"{name}=={metadata.version(name)}" for name in (*wheel.NEEDED, *more)]
        which = hashlib.sha256(" ".join(pins).encode()).hexdigest()[:16]
        place = f"{self.porter.root}/venv-{which}"
        if self.connection.run(["test", "-f", f"{place}/ready"]).status:
            self._do(["python3", "-m", "venv", "--clear", place])
            self._do([f"{place}/bin/pip", "install", "--quiet", "--no-input", *pins])
            self._do(["touch", f"{place}/ready"])
        return f"{place}/bin/python"

    def _do(self, argv: Iterable[str]) -> None:
        words = list(argv)
        done = self.connection.run(words, limit_s=SETUP_S)
        if done.status:
            raise RemoteError(
                Failure.COMMAND,
                f"{' '.join(words[:3])}: exit status {done.status}: {done.complaint}",
                remedy="let it reach a package index, or name an interpreter with `python`",
            )


def check_path(name: str, slots: Iterable[Slot]) -> None:
    """Raises `RemoteError` unless this is a file of one of these boots."""
    folder, _, file = name.rpartition("/")
    for slot in slots:
        if folder.startswith(f"runs/{slot.key}"):
            rest = folder.removeprefix(f"runs/{slot.key}")
            if _ATTEMPT.fullmatch(rest) and _FILE_NAME.fullmatch(file):
                return
    raise RemoteError(
        Failure.BAD_ANSWER, f"offers a file that nobody asked for: {one_line(name)!r}"
    )
