# SPDX-License-Identifier: GPL-2.0-only
"""The executor for the hosts of an inventory: each takes one block after the other, over SSH.

A block is under way on its host whether we are connected or not: a connection that breaks is made
again until the deadline of the block has passed. A block counts whole, or not at all: what a failed
one left is kept aside. A host that fails too often in a row gets no more.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness import inventory as labs
from harness.courier import Courier, State
from harness.deadline import Deadline
from harness.errors import Failure, HarnessError, RemoteError
from harness.executor import Job
from harness.experiment import Block
from harness.inventory import Inventory, Need
from harness.ledger import Fate
from harness.parcel import Packed, pack
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
    poll_s: float = 2.0
    margin_s: float = MARGIN_S


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
        fits = {block.key: self._fits(job, block) for block in job.blocks}
        todo = list(job.blocks)
        tries: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        given_up: list[str] = []

        async def serve(name: str) -> None:
            while failures[name] < self.patience.failures:
                block = next((b for b in todo if name in fits[b.key]), None)
                if block is None:
                    return
                todo.remove(block)
                tries[block.key] += 1
                if await self._attempt(job, name, block):
                    failures[name] = 0
                    continue
                failures[name] += 1
                if tries[block.key] < self.patience.attempts:
                    todo.append(block)
                else:
                    given_up.append(block.key)
            self.log(f"{name} is set aside: it failed {failures[name]} times in a row")

        # A block that fails comes back to the queue: those who had nothing left to do look again.
        while names := {
            name: None
            for block in todo
            for name in fits[block.key]
            if failures[name] < self.patience.failures
        }:
            await asyncio.gather(*map(serve, names))
        if left := [*given_up, *(block.key for block in todo)]:
            raise HarnessError(
                f"{len(left)} block(s) could not be booted anywhere: {', '.join(left[:5])}",
                remedy="`harness hosts check`; the ledger says what went wrong; start again",
            )

    def _fits(self, job: Job, block: Block) -> tuple[str, ...]:
        memory = max(map(job.need, block.slots))
        labels = job.session.experiment.host_labels
        accel = "tcg" if block.clock == "work" else job.session.lock.environment.accel
        return labs.choose(self.inventory.hosts, Need(memory, accel, labels))

    async def _attempt(self, job: Job, name: str, block: Block) -> bool:
        """One attempt at a block on a host, from the ledger to the ledger."""
        attempt = job.ledger.begin(block.key, name)
        folder = job.results.path / "incoming" / f"{block.key.replace('/', '-')}-{attempt}"
        shutil.rmtree(folder, ignore_errors=True)
        self.log(f"{block.key} goes to {name}, attempt {attempt}")
        try:
            packed = pack(job.session, block, job.force)
            await asyncio.to_thread(self._carry, job, name, block, packed, folder)
            runs = self._take_in(job, block, folder)
        except RemoteError as error:
            self._keep(folder)
            self.log(f"{block.key} failed on {name}: {error.what}")
            detail = f"{error.failure}: {error.what}"
            job.ledger.end(block.key, attempt, name, Fate.FAILED, detail=detail)
            return False
        job.ledger.end(block.key, attempt, name, Fate.DONE, runs=runs)
        return True

    def _carry(self, job: Job, name: str, block: Block, packed: Packed, folder: Path) -> None:
        """There and back, through as many connections as it takes."""
        seconds = sum(job.seconds(slot) for slot in block.slots)
        deadline = Deadline.after(seconds + self.patience.margin_s)
        ident = f"{job.session.lock.hash}-{folder.name}"
        while True:
            try:
                with Connection(self.inventory, name, self.trust, self.limits) as connection:
                    courier = Courier(
                        connection, self.inventory.hosts[name], job.session.project.cache
                    )
                    courier.deliver(ident, packed, seconds)
                    state = self._wait(courier, ident, deadline)
                    shutil.rmtree(folder, ignore_errors=True)
                    courier.fetch(ident, state, block.slots, folder)
                    courier.remove(ident)
                break
            except RemoteError as error:
                if error.failure not in TRANSIENT or deadline.expired:
                    raise
                self.log(f"{name}: {error.what}; tries again")
                time.sleep(self.patience.poll_s)
        if not state.good:
            raise RemoteError(Failure.COMMAND, f"the worker {state.words}", where=name)

    def _wait(self, courier: Courier, ident: str, deadline: Deadline) -> State:
        while not (state := courier.state(ident)).outcome:
            if deadline.expired:
                raise RemoteError(Failure.COMMAND, "has no outcome by the deadline of its block")
            time.sleep(self.patience.poll_s)
        return state

    def _take_in(self, job: Job, block: Block, folder: Path) -> dict[str, str]:
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
            job.tell(slot, run)
        self._keep(folder)
        return {run.run_id: run.judgement.outcome for run in runs}

    def _keep(self, folder: Path) -> None:
        """What is left of an attempt lies aside; an empty folder is no evidence."""
        if any(path.is_file() for path in folder.rglob("*")):
            aside = folder.parents[1] / "aside" / folder.name
            aside.parent.mkdir(exist_ok=True)
            folder.rename(aside)
        else:
            shutil.rmtree(folder, ignore_errors=True)
