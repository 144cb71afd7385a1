# SPDX-License-Identifier: GPL-2.0-only
"""The executor for the hosts of an inventory: each takes one block after the other, over SSH.

It needs nothing there but an SSH server and Python. Who starts again after a kill finds what was
under way: a host goes on whether we are connected or not.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from harness.errors import RemoteError
from harness.hosts.courier import Courier, State
from harness.hosts.inventory import Inventory
from harness.hosts.passage import Passages
from harness.hosts.roster import Attempt, Log, Patience, Roster, fitting
from harness.model import Block, Run
from harness.run import Job
from harness.ssh import Connection, Link, SSHTimeouts, Trust


@dataclass(frozen=True)
class Remote:
    """Boots blocks on the hosts of an inventory."""

    inventory: Inventory
    trust: Trust
    log: Log
    patience: Patience = field(default_factory=Patience)
    limits: SSHTimeouts = field(default_factory=SSHTimeouts)

    async def execute(self, job: Job) -> None:
        """Gives each host a block that fits it, as long as there are any."""
        rounds = self.rounds(job)
        try:
            await rounds.run()
        finally:
            rounds.stop()

    def rounds(self, job: Job) -> Rounds:
        """Who does what of a job."""
        return Rounds(self, job)


class Rounds:
    """One job: who does what."""

    def __init__(self, remote: Remote, job: Job) -> None:
        self._remote = remote
        self.job = job
        self._roster = Roster(job, remote.patience, remote.log)
        self._passages = Passages(job, remote.patience, remote.log)
        self._fits = fitting(job, remote.inventory)
        self._pool = ThreadPoolExecutor(max(1, len({n for f in self._fits.values() for n in f})))

    async def run(self) -> None:
        """Returns when every block is booted; raises `HarnessError` where one could not be."""
        roster = self._roster
        # A block that fails comes back to the queue: those who had nothing left to do look again.
        while names := {
            n: None for b in roster.todo for n in self._fits[b.key] if roster.trusts(n)
        }:
            await asyncio.gather(*map(self._serve, names))
        roster.close()

    def stop(self) -> None:
        """Ends all threads as soon as they look up; hosts go on with what they have."""
        self._passages.stopped.set()
        self._pool.shutdown(cancel_futures=True)

    async def _serve(self, name: str) -> None:
        """One host, until there is nothing for it or it has failed too often."""
        roster, loop = self._roster, asyncio.get_running_loop()
        while roster.trusts(name) and (block := self._next(name)):
            attempt = roster.begin(block, name, roster.number(block, name))
            try:
                runs = await loop.run_in_executor(self._pool, self.carry, attempt)
            except RemoteError as error:
                roster.failed(attempt, error)
            else:
                roster.done(attempt, runs)

    def _next(self, name: str) -> Block | None:
        """Takes a block: what the host had when we were stopped first, what others had last."""
        mine = {key for key, (host, _) in self._roster.lost.items() if host == name}
        again = self._roster.take(lambda block: block.key in mine) if mine else None
        return again or self._roster.take(lambda block: name in self._fits[block.key])

    def carry(self, attempt: Attempt) -> list[Run]:
        """There and back. Runs in a thread."""
        host = self._remote.inventory.hosts[attempt.host]
        return self._passages.make(attempt, host, Direct(self._remote, attempt.host))


@dataclass(frozen=True)
class Direct:
    """The way of this engine: a connection for each attempt, over which the host is asked."""

    remote: Remote
    name: str

    def link(self) -> AbstractContextManager[Link]:
        remote = self.remote
        return Connection(remote.inventory, self.name, remote.trust, remote.limits)

    def begin(self, courier: Courier, ident: str, seconds: float) -> None:
        courier.launch(ident, seconds)

    def outcome(self, courier: Courier, ident: str) -> State | None:
        state = courier.wait(ident, self.remote.patience.poll_s)
        return state if state.outcome else None
