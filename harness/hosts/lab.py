# SPDX-License-Identifier: GPL-2.0-only
"""The executor for the hosts of an inventory where Dask chooses among them.

The scheduler is ours and ends with us; workers are kept on the hosts over SSH. What is under way
outlives both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from threading import Thread

from harness.hosts.dispatch import Dispatch, Workers
from harness.hosts.inventory import Host, Inventory
from harness.hosts.outpost import Outpost, Terms
from harness.hosts.roster import Log, Patience, fitting
from harness.hosts.scheduler import open_gate
from harness.run import Job
from harness.ssh import Link, SSHTimeouts, Trust

STOP_S = 5


@dataclass(frozen=True)
class Lab:
    """Boots blocks on the hosts of an inventory."""

    inventory: Inventory
    trust: Trust
    log: Log
    patience: Patience = field(default_factory=Patience)
    limits: SSHTimeouts = field(default_factory=SSHTimeouts)

    async def execute(self, job: Job) -> None:
        """Has Dask give each host a block that fits it, as long as there are any."""
        names = sorted({name for fit in fitting(job, self.inventory).values() for name in fit})
        async with open_gate(job.session.project.cache / "fleet") as gate:
            terms = Terms(
                self.inventory,
                self.trust,
                self.limits,
                job.session.project.cache,
                gate,
                self.patience.poll_s,
            )
            posts = Posts(terms, names, self.log)
            dispatch = Dispatch(gate.client, posts, job, self.patience, self.log)
            posts.start(dispatch)
            try:
                await dispatch.run()
            finally:
                dispatch.stop()
                await asyncio.to_thread(posts.stop)


class Posts:
    """The hosts of an inventory, each with a worker or about to get one."""

    def __init__(self, terms: Terms, names: Sequence[str], log: Log) -> None:
        self._terms, self._log = terms, log
        self._posts = {
            name: Outpost(terms, name, number, partial(self._failed, name))
            for number, name in enumerate(names)
        }
        self._threads = [Thread(target=post.keep, daemon=True) for post in self._posts.values()]
        self._loop = asyncio.get_running_loop()

    def start(self, dispatch: Dispatch) -> None:
        """Begins to get a worker on each."""
        self._dispatch = dispatch
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends all workers."""
        for post in self._posts.values():
            post.stop()
        for thread in self._threads:
            thread.join(STOP_S)

    async def workers(self) -> Workers:
        """Those of ours that the scheduler knows."""
        known = self._terms.gate.workers()
        return {name: known[name] for name in self._posts if name in known}

    def expected(self) -> Collection[str]:
        return self._posts.keys()

    def lender(self, name: str) -> Host:
        return self._terms.inventory.hosts[name]

    def link(self, name: str) -> AbstractContextManager[Link]:
        return self._posts[name].link()

    async def drop(self, name: str) -> None:
        """Ends the worker of a host."""
        self._posts[name].stop()

    def _failed(self, name: str, why: str) -> None:
        """Of a thread: a host has no worker now."""
        self._loop.call_soon_threadsafe(self._blame, name, why)

    def _blame(self, name: str, why: str) -> None:
        """A host that has a block has as long as the block has."""
        self._log(f"{name}: {why}; tries again")
        if not self._dispatch.holds(name):
            self._dispatch.roster.blame(name)
        if not self._dispatch.roster.trusts(name):
            self._posts[name].stop()
