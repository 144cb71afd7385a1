# SPDX-License-Identifier: GPL-2.0-only
"""The executor for the hosts of an inventory: each takes one block after the other, over SSH.

A block is under way on its host whether we are connected or not: a connection that breaks is made
again until the deadline of the block has passed, and who starts again after a kill finds it there.
A block counts whole, or not at all: what a failed one left is kept aside. A host that fails too
often in a row gets no more.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from harness import inventory as labs
from harness.courier import Courier, State
from harness.deadline import Deadline
from harness.errors import Failure, HarnessError, RemoteError
from harness.executor import Job
from harness.experiment import Block
from harness.inventory import Inventory, Need
from harness.ledger import Entry, Fate
from harness.parcel import pack
from harness.record import Run
from harness.results import RUN_FILE, read_run
from harness.ssh import Connection, Limits
from harness.trust import Trust

TRANSIENT = {Failure.CLOSED, Failure.SILENT, Failure.UNREACHABLE}
"""What may be over in a while."""
MARGIN_S = 120
"""Beyond the deadline of a block: to bring things there and back."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class Patience:
    """How long and how often."""

    attempts: int = 3
    """at one block, on any host"""
    failures: int = 3
    """of one host in a row, before it is set aside"""
    poll_s: float = 4.0
    """that a host waits for the end of a block before it answers that it still runs"""
    margin_s: float = MARGIN_S


class StoppedError(HarnessError):
    """We were told to stop; what is under way on hosts goes on there."""


@dataclass(frozen=True)
class Remote:
    """Boots blocks on the hosts of an inventory."""

    inventory: Inventory
    trust: Trust
    log: Log
    patience: Patience = Patience()
    limits: Limits = field(default_factory=Limits)

    async def execute(self, job: Job) -> None:
        """Gives each host a block that fits it, as long as there are any."""
        rounds = Rounds(self, job)
        try:
            await rounds.run()
        finally:
            rounds.stop()


class Rounds:
    """One job: who does what."""

    def __init__(self, remote: Remote, job: Job) -> None:
        self._remote = remote
        self.job = job
        self._lost = last_lost(job.ledger.read()[0])
        self._known: dict[Need, frozenset[str]] = {}
        self._fits = {block.key: self._hosts(block) for block in job.blocks}
        # What was under way somewhere comes last: its host looks for it first.
        self._todo = deque(sorted(job.blocks, key=lambda block: block.key in self._lost))
        self._text = job.session.lock.to_yaml()
        self._tries: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._given_up: list[str] = []
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(max(1, len({n for f in self._fits.values() for n in f})))

    async def run(self) -> None:
        # A block that fails comes back to the queue: those who had nothing left to do look again.
        while names := {n: None for b in self._todo for n in self._fits[b.key] if self._trusts(n)}:
            await asyncio.gather(*map(self._serve, names))
        if left := [*self._given_up, *(block.key for block in self._todo)]:
            raise HarnessError(
                f"{len(left)} block(s) could not be booted anywhere: {', '.join(left[:5])}",
                remedy="`harness hosts check`; the ledger says what went wrong; start again",
            )

    def stop(self) -> None:
        """Ends all threads as soon as they look up; hosts go on with what they have."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def _hosts(self, block: Block) -> frozenset[str]:
        job = self.job
        memory = max(map(job.need, block.slots))
        labels = job.session.experiment.host_labels
        accel = "tcg" if block.clock == "work" else job.session.lock.environment.accel
        need = Need(memory, accel, labels)
        if need not in self._known:
            self._known[need] = frozenset(labs.choose(self._remote.inventory.hosts, need))
        return self._known[need]

    def _trusts(self, name: str) -> bool:
        return self._failures[name] < self._remote.patience.failures

    async def _serve(self, name: str) -> None:
        """One host, until there is nothing for it or it has failed too often."""
        while self._trusts(name):
            block = self._next(name)
            if block is None:
                return
            self._tries[block.key] += 1
            if await self._attempt(name, block):
                self._failures[name] = 0
                continue
            self._failures[name] += 1
            if self._tries[block.key] < self._remote.patience.attempts:
                self._todo.append(block)
            else:
                self._given_up.append(block.key)
        self._remote.log(f"{name} is set aside: it failed {self._failures[name]} times in a row")

    def _next(self, name: str) -> Block | None:
        """Takes a block: what the host had when we were stopped first, what others had last."""
        mine = {key for key, (host, _) in self._lost.items() if host == name}
        fits: Iterator[int] = (
            n for n, block in enumerate(self._todo) if name in self._fits[block.key]
        )
        if mine:
            again = (n for n, block in enumerate(self._todo) if block.key in mine)
            fits = itertools.chain(again, fits)
        if (at := next(fits, None)) is None:
            return None
        block = self._todo[at]
        del self._todo[at]
        return block

    async def _attempt(self, name: str, block: Block) -> bool:
        """One attempt at a block on a host, from the ledger to the ledger."""
        job, log = self.job, self._remote.log
        attempt = job.ledger.begin(block.key, name)
        number = attempt
        if self._lost.get(block.key, ("", 0))[0] == name:
            number = self._lost.pop(block.key)[1]
            log(f"{block.key} is taken up again on {name}, attempt {number}")
        else:
            log(f"{block.key} goes to {name}, attempt {attempt}")
        folder = job.results.path / "incoming" / f"{block.key.replace('/', '-')}-{number}"
        loop = asyncio.get_running_loop()
        try:
            runs = await loop.run_in_executor(self._pool, self.carry, name, block, folder)
        except RemoteError as error:
            _keep(folder)
            log(f"{block.key} failed on {name}: {error.what}")
            detail = f"{error.failure}: {error.what}"
            job.ledger.end(block.key, attempt, name, Fate.FAILED, detail=detail)
            return False
        for slot, run in zip(block.slots, runs, strict=True):
            job.tell(slot, run)
        ids = {run.run_id: str(run.judgement.outcome) for run in runs}
        job.ledger.end(block.key, attempt, name, Fate.DONE, runs=ids)
        return True

    def carry(self, name: str, block: Block, folder: Path) -> list[Run]:
        """There and back, through as many connections as it takes. Runs in a thread."""
        remote, job = self._remote, self.job
        packed = pack(job.session, self._text, block, remote.inventory.hosts[name], job.force)
        seconds = sum(job.seconds(slot) for slot in block.slots)
        deadline = Deadline.after(seconds + remote.patience.margin_s)
        ident = f"{job.session.lock.hash}-{folder.name}"
        host, cache = remote.inventory.hosts[name], job.session.project.cache
        while True:
            try:
                with Connection(remote.inventory, name, remote.trust, remote.limits) as connection:
                    courier = Courier(connection, host, cache)
                    courier.deliver(ident, packed, seconds)
                    state = self._wait(courier, ident, deadline)
                    shutil.rmtree(folder, ignore_errors=True)
                    courier.fetch(ident, block.slots, folder)
                    # What counts is taken in before the host forgets it: a kill loses nothing.
                    runs = take_in(job, block, folder) if state.good else []
                    courier.remove(ident)
                break
            except RemoteError as error:
                if error.failure not in TRANSIENT or deadline.expired:
                    raise
                remote.log(f"{name}: {error.what}; tries again")
                self._pause(self._remote.patience.poll_s)
        if not state.good:
            raise RemoteError(Failure.COMMAND, f"the worker {state.words}", where=name)
        return runs

    def _wait(self, courier: Courier, ident: str, deadline: Deadline) -> State:
        while not (state := courier.wait(ident, self._remote.patience.poll_s)).outcome:
            if deadline.expired:
                raise RemoteError(Failure.COMMAND, "has no outcome by the deadline of its block")
            self._pause(0)
        return state

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise StoppedError("stopped")


def last_lost(entries: Sequence[Entry]) -> dict[str, tuple[str, int]]:
    """Host and attempt of each block whose last attempt was lost with whoever watched it."""
    last = {entry.block: entry for entry in entries if entry.fate}
    return {b: (e.host, e.attempt) for b, e in last.items() if e.fate == Fate.LOST}


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
    _keep(folder)
    return runs


def _keep(folder: Path) -> None:
    """What is left of an attempt lies aside; an empty folder is no evidence."""
    if any(path.is_file() for path in folder.rglob("*")):
        aside = folder.parents[1] / "aside" / folder.name
        aside.parent.mkdir(exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    else:
        shutil.rmtree(folder, ignore_errors=True)
