# SPDX-License-Identifier: GPL-2.0-only
"""One attempt at a block, there and back, through as many connections as it takes.

A block is under way on its host whether we are connected or not: a connection that breaks is made
again until the deadline of the block has passed. A block counts whole, or not at all: what a failed
one left is kept aside.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from harness.errors import Failure, HarnessError, RemoteError
from harness.hosts.courier import Courier, State
from harness.hosts.parcel import Lender, pack
from harness.hosts.roster import Attempt, Log, Patience
from harness.model import Block, Run
from harness.results import RUN_FILE, read_run
from harness.run import Job
from harness.ssh import Deadline, Link

TRANSIENT = {Failure.CLOSED, Failure.SILENT, Failure.UNREACHABLE}
"""What may be over in a while."""


class StoppedError(HarnessError):
    """We were told to stop; what is under way on hosts goes on there."""


class Way(Protocol):
    """How one engine reaches the host of an attempt and has the block booted there."""

    def link(self) -> AbstractContextManager[Link]:
        """A connection; raises `RemoteError` while there is none."""

    def begin(self, courier: Courier, ident: str, seconds: float) -> None:
        """Has the host begin, unless it has; all that it needs is there."""

    def outcome(self, courier: Courier, ident: str) -> State | None:
        """What became of it, as soon as anything has; nothing after a while."""


@dataclass(frozen=True)
class Passages:
    """What all attempts of a job have in common."""

    job: Job
    patience: Patience
    log: Log
    stopped: threading.Event = field(default_factory=threading.Event)

    def ident(self, block: Block, number: int) -> str:
        """The name that a host knows an attempt by: ours alone, and the same after a restart."""
        return f"{self._owner}-{_name(block, number)}"

    def seconds(self, block: Block) -> float:
        """Longest that the boots of a block may take."""
        return sum(map(self.job.seconds, block.slots))

    def make(self, attempt: Attempt, lender: Lender, way: Way) -> list[Run]:
        """There and back; blocks, so it runs in a thread. Raises `RemoteError` if it fails."""
        folder = incoming(self.job, attempt)
        deadline = Deadline.after(self.seconds(attempt.block) + self.patience.margin_s)
        packed = pack(self.job.session, attempt.block, lender, self.job.force)
        try:
            while True:
                try:
                    cache = self.job.session.project.cache
                    with way.link() as link, Courier.at(link, lender, cache) as courier:
                        courier.deliver(self.ident(attempt.block, attempt.number), packed)
                        return self._fetch(attempt, way, courier, deadline, folder)
                except RemoteError as error:
                    if error.failure not in TRANSIENT or deadline.expired:
                        raise
                    self.log(f"{attempt.host}: {error.what}; tries again")
                    self.pause(self.patience.poll_s)
        except RemoteError:
            keep(folder)
            raise

    @cached_property
    def _owner(self) -> str:
        """The lock and this results folder: another one of the same lock has blocks of its own."""
        place = f"{platform.node()}:{self.job.results.path.resolve()}"
        return f"{self.job.session.lock.hash}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"

    def pause(self, seconds: float) -> None:
        """Waits, unless somebody stops us."""
        if self.stopped.wait(seconds):
            raise StoppedError("stopped")

    def _fetch(
        self, attempt: Attempt, way: Way, courier: Courier, deadline: Deadline, folder: Path
    ) -> list[Run]:
        block, ident = attempt.block, self.ident(attempt.block, attempt.number)
        way.begin(courier, ident, self.seconds(block))
        while not (state := way.outcome(courier, ident)):
            if deadline.expired:
                raise RemoteError(Failure.COMMAND, "has no outcome by the deadline of its block")
            self.pause(0)
        shutil.rmtree(folder, ignore_errors=True)
        courier.fetch(ident, block.slots, folder)
        # What counts is taken in before the host forgets it: a kill loses nothing.
        runs = take_in(self.job, block, folder) if state.good else []
        courier.remove(ident)
        if not state.good:
            raise RemoteError(Failure.COMMAND, f"the worker {state.words}", where=attempt.host)
        return runs


def _name(block: Block, number: int) -> str:
    return f"{block.key.replace('/', '-')}-{number}"


def incoming(job: Job, attempt: Attempt) -> Path:
    """The folder that the results of an attempt come into."""
    return job.results.path / "incoming" / _name(attempt.block, attempt.number)


def take_in(job: Job, block: Block, folder: Path) -> list[Run]:
    """Takes every boot of a block in, once all of them are seen to be there."""
    runs: list[Run] = []
    for slot in block.slots:
        try:
            run = read_run(folder / "runs" / slot.key / RUN_FILE)
        except HarnessError as error:
            raise RemoteError(Failure.BAD_ANSWER, f"{slot.key}: {error.what}") from None
        if run.run_id != slot.run_id(job.session.lock.hash):
            raise RemoteError(Failure.BAD_ANSWER, f"{slot.key}: is another run")
        runs.append(run)
    for slot, run in zip(block.slots, runs, strict=True):
        job.results.adopt(slot, run.run_id, folder / "runs" / slot.key)
    keep(folder)
    return runs


def keep(folder: Path) -> None:
    """What is left of an attempt lies aside; an empty folder is no evidence."""
    if any(path.is_file() for path in folder.rglob("*")):
        aside = folder.parents[1] / "aside" / folder.name
        aside.parent.mkdir(exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    else:
        shutil.rmtree(folder, ignore_errors=True)
