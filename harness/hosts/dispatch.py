# SPDX-License-Identifier: GPL-2.0-only
"""A job on a Dask cluster: blocks are tasks whose resources say what they need.

Dask chooses the host. It binds a task as soon as it has it, so it gets one only where a host that
fits is free. Retries, the ledger and what counts are ours: Dask forgets, and may run a task twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from harness.errors import Failure, RemoteError
from harness.hosts.inventory import Need
from harness.hosts.lease import Lease, Resources
from harness.hosts.parcel import Lender
from harness.hosts.passage import Passages
from harness.hosts.roster import Attempt, Log, Patience, Roster, need_of
from harness.hosts.task import TOPIC
from harness.model import Block, Run
from harness.run import Job
from harness.ssh import Link

if TYPE_CHECKING:
    from distributed import Client


TURN_S = 1.0
"""Between two looks at what workers there are."""
NOWHERE = "nowhere"
"""In the ledger, for a task that ended before anybody knew where it was."""
THREADS = 10_000
"""One for each block that is under way; they wait."""

Workers = Mapping[str, Resources]
"""What each host that has a worker now declares, by its name."""


class Hosts(Protocol):
    """Where the workers of a cluster are, and how files get there."""

    async def workers(self) -> Workers:
        """Those that there are now."""

    def expected(self) -> Collection[str] | None:
        """Hosts that may come, or come back; none where nobody knows who may come."""

    def lender(self, name: str) -> Lender:
        """What a host lends that there was a worker on."""

    def link(self, name: str) -> AbstractContextManager[Link]:
        """A connection to a host; raises `RemoteError` while there is none."""

    async def drop(self, name: str) -> None:
        """Ends the worker of a host that failed too often."""


@dataclass
class Errand:
    """A block that Dask was asked to find a host for."""

    block: Block
    need: Resources
    home: str = ""
    """the host that had it when somebody was stopped, and is to have it again"""
    host: str = ""
    """where it is; no name as long as it is nowhere"""


class Dispatch:
    """One job: which block is where."""

    def __init__(
        self, client: Client, hosts: Hosts, job: Job, patience: Patience, log: Log
    ) -> None:
        self._client, self._hosts, self._job = client, hosts, job
        self._log = log
        self.roster = Roster(job, patience, log)
        self._passages = Passages(job, patience, log)
        self._needs = {block.key: need_of(job, block) for block in job.blocks}
        self._workers: Workers = {}
        self._leases: dict[str, Lease] = {}
        self._running: dict[asyncio.Task[None], Errand] = {}
        self._pool = ThreadPoolExecutor(THREADS)

    async def run(self) -> None:
        """Returns when every block is booted; raises `HarnessError` where one could not be."""
        self._client.subscribe_topic(TOPIC, self._arrived)
        told = False
        while self._running or (self.roster.todo and self._hopes()):
            self._workers = await self._hosts.workers()
            self._ask()
            if not self._running and not told:
                self._log("waits for a worker that fits")
                told = True
            await self._turn()
        self.roster.close()

    def stop(self) -> None:
        """Ends all threads as soon as they look up; hosts go on with what they have."""
        self._passages.stopped.set()
        for task in self._running:
            task.cancel()
        self._pool.shutdown(cancel_futures=True)

    def holds(self, name: str) -> bool:
        """Whether a host has a block now."""
        return any(errand.host == name for errand in self._running.values())

    def _hopes(self) -> bool:
        """Whether a host may come that is good for anything."""
        names = self._hosts.expected()
        return names is None or any(map(self.roster.trusts, names))

    async def _turn(self) -> None:
        """Until something has changed, or may have."""
        timer = asyncio.create_task(asyncio.sleep(TURN_S))
        await asyncio.wait({timer, *self._running}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        for task in [task for task in self._running if task.done()]:
            del self._running[task]
            task.result()

    def _ask(self) -> None:
        """Asks Dask for hosts for as many blocks as there are hosts free that fit."""
        free = self._free()
        vain: set[Need] = set()
        found: list[Errand] = []

        def fits(block: Block) -> bool:
            if (need := self._needs[block.key]) in vain:
                return False
            errand = self._errand(block, need)
            if errand and any(meets(declared, errand.need) for declared in free.values()):
                found.append(errand)
                return True
            if errand and not errand.home:
                vain.add(need)
            return False

        while free and self.roster.take(fits):
            errand = found.pop()
            seize(free, errand.need)
            self._running[asyncio.create_task(self._serve(errand))] = errand

    def _errand(self, block: Block, need: Need) -> Errand | None:
        """What to ask for; nothing while the host that has the block is expected back."""
        home, _ = self.roster.lost.get(block.key, ("", 0))
        if meets(self._workers.get(home, {}), only(home)):
            return Errand(block, only(home), home)
        if home in (self._hosts.expected() or ()) and self.roster.trusts(home):
            return None
        memory = any("memory" in declared for declared in self._workers.values())
        return Errand(block, resources(need, memory))

    def _free(self) -> dict[str, Resources]:
        """Hosts that have no block, nor will have one that is under way to somewhere."""
        taken = {errand.host for errand in self._running.values()}
        order = sorted(self._workers, key=lambda name: self._workers[name].get("memory", 0))
        free = {
            name: self._workers[name]
            for name in order
            if name not in taken and self.roster.trusts(name)
        }
        for errand in self._running.values():
            if not errand.host:
                seize(free, errand.need)
        return free

    async def _serve(self, errand: Errand) -> None:
        """One attempt at a block, from asking for a host to the end in the ledger."""
        block, roster, passages = errand.block, self.roster, self._passages
        number = roster.number(block, errand.home)
        ident = passages.ident(block, number)
        lease = Lease(self._client, ident, passages.seconds(block))
        self._leases[ident] = lease
        try:
            lease.ask(errand.need)
            errand.host = await lease.host
            attempt = roster.begin(block, errand.host or NOWHERE, number)
            try:
                roster.done(attempt, await self._carry(attempt, lease))
            except RemoteError as error:
                roster.failed(attempt, error)
        finally:
            del self._leases[ident]
            lease.release()
        if errand.host and not roster.trusts(errand.host):
            await self._hosts.drop(errand.host)

    async def _carry(self, attempt: Attempt, lease: Lease) -> list[Run]:
        """There and back, in a thread."""
        if attempt.host == NOWHERE:
            raise RemoteError(Failure.COMMAND, lease.error or "its task ended before it began")
        lease.connect = partial(self._hosts.link, attempt.host)
        lender = self._hosts.lender(attempt.host)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._passages.make, attempt, lender, lease)

    async def _arrived(self, event: tuple[float, object]) -> None:
        """A task says where it is; what it says was said by a host."""
        match event[1]:
            case {"block": str(ident), "host": str(name)} if ident in self._leases:
                if name not in self._workers:
                    self._workers = await self._hosts.workers()
                if name in self._workers and (lease := self._leases.get(ident)):
                    if meets(self._workers[name], only(name)):
                        lease.home = only(name)
                    lease.arrive(name)


def resources(need: Need, memory: bool) -> Resources:
    """What a worker has to declare; memory does not matter where none declares any."""
    asked: Resources = {f"label:{label}": 1 for label in need.labels}
    if need.accel == "kvm":
        asked["kvm"] = 1
    if memory:
        asked["memory"] = need.memory
    return asked


def only(name: str) -> Resources:
    """What one host alone declares."""
    return {f"host:{name}": 1}


def meets(declared: Resources, asked: Resources) -> bool:
    """Whether Dask would let a worker have it."""
    return all(declared.get(name, 0) >= amount for name, amount in asked.items())


def seize(free: dict[str, Resources], asked: Resources) -> None:
    """Takes the least of the hosts out that something may go to."""
    if name := next((name for name, declared in free.items() if meets(declared, asked)), None):
        del free[name]
