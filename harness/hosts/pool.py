# SPDX-License-Identifier: GPL-2.0-only
"""The workers that there are: who has the very code that runs here, and who is still trusted.

What a worker is asked beside its task goes through here too. A host that fails too often in a row
is set aside for good; one whose worker has other code is of no use.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from distributed import Client
from distributed.comm.core import CommClosedError

from harness.errors import Failure, HostError, RemoteError
from harness.hosts import block as blocks
from harness.hosts.bootstrap import code
from harness.hosts.cluster import Resources, Source, host_of
from harness.hosts.inventory import Need
from harness.text import one_line

log = logging.getLogger(__name__)

TURN_S = 1.0
"""Between two looks at what workers there are."""
CALL_S = 30.0
"""For what a worker is asked beside its task."""

Alive = Callable[[], Collection[str]]
"""Names of the attempts that somebody will ask for again."""


class LostError(Exception):
    """The worker of a task is gone, or has moved."""


@dataclass(frozen=True)
class Worker:
    """A worker that there is now, and what its host lends."""

    host: str
    resources: Resources
    cores: int

    def fits(self, asked: Resources) -> bool:
        """Whether Dask would let it have a task."""
        return all(self.resources.get(name, 0) >= amount for name, amount in asked.items())


def resources(need: Need) -> Resources:
    """What a worker has to declare, all of a host included."""
    asked: Resources = {"host": 1, "memory": need.memory}
    asked |= {f"label:{label}": 1 for label in need.labels}
    return asked | ({"kvm": 1} if need.accel == "kvm" else {})


def only(name: str) -> Resources:
    """What one host alone declares."""
    return {f"host:{name}": 1}


class Pool:
    """The workers of a source, by their addresses; `owner` is whose blocks are tidied there."""

    def __init__(self, source: Source, failures: int, owner: str, alive: Alive) -> None:
        self._source, self._most = source, failures
        self._owner, self._alive = owner, alive
        self.workers: Mapping[str, Worker] = {}
        self._failures: Counter[str] = Counter()
        self._checks: dict[str, asyncio.Task[bool]] = {}
        self._drops: list[asyncio.Task[None]] = []
        self._next_look = 0.0

    def connect(self, client: Client) -> None:
        """From now on the workers are those of its scheduler."""
        self._client = client

    def close(self) -> None:
        """No worker is asked any more."""
        for check in self._checks.values():
            check.cancel()

    @property
    def checks(self) -> list[asyncio.Task[bool]]:
        """Those of workers that have just come, under way."""
        return [check for check in self._checks.values() if not check.done()]

    def fitting(self, asked: Resources) -> dict[str, Worker]:
        """Those that Dask would let have a task."""
        return {a: worker for a, worker in self.workers.items() if worker.fits(asked)}

    def trusts(self, host: str) -> bool:
        """Whether a host has not failed too often."""
        return self._failures[host] < self._most

    def blame(self, host: str) -> None:
        """A host has failed; once too often, it is set aside for good."""
        self._failures[host] += 1
        if self._failures[host] == self._most:
            log.warning(f"{host} is set aside: it failed {self._failures[host]} times in a row")
            self._next_look = 0
            self._drops.append(asyncio.create_task(self._source.drop(host)))

    def praise(self, host: str) -> None:
        """A host has done what it was asked: what it failed before is forgotten."""
        self._failures[host] = 0

    async def look(self) -> None:
        """Who is there, with the very code that runs here; who is not trusted is sent away."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + TURN_S
        try:
            assert self._client.scheduler
            known = (await self._client.scheduler.identity(n_workers=-1))["workers"]
        except OSError:
            raise scheduler_gone() from None
        found = {
            address: Worker(
                host_of(worker),
                dict(worker["resources"]),
                int(worker["resources"].get("cores", worker["nthreads"])),
            )
            for address, worker in known.items()
            if "host" in worker["resources"]
        }
        for address, worker in found.items():
            if address not in self._checks:
                check = asyncio.create_task(self._check(address, worker.host))
                self._checks[address] = check
        good = {a for a, check in self._checks.items() if check.done() and check.result()}
        useless = {a for a, check in self._checks.items() if check.done()} - good
        bad = [a for a, w in found.items() if a in useless or not self.trusts(w.host)]
        if bad:
            await self._client.retire_workers(workers=bad)
        self.workers = {a: w for a, w in found.items() if a in good and a not in bad}

    async def find(self, address: str) -> Worker | None:
        """One that may have come just now; none where it is of no use."""
        for _ in range(2):
            if address in self.workers:
                break
            self._next_look = 0
            await self.look()
            if check := self._checks.get(address):
                await asyncio.wait([check])
        return self.workers.get(address)

    async def call(
        self, address: str, function: Callable[..., object], *words: object, limit_s: float = CALL_S
    ) -> object:
        """What a function answers on a worker.

        Raises `LostError` where the worker does not answer, and `RemoteError` where the function
        fails there.
        """
        try:
            async with asyncio.timeout(limit_s):
                return (await self._client.run(function, *words, workers=[address]))[address]
        except (CommClosedError, TimeoutError, ConnectionError, KeyError) as error:
            raise LostError(f"it does not answer: {error}") from None
        except Exception as error:  # of a host, whatever it is
            what = one_line(f"{type(error).__name__}: {error}", 300) or ""
            raise RemoteError(Failure.COMMAND, what) from None

    async def _check(self, address: str, host: str) -> bool:
        """Whether a worker has the very code that runs here."""
        try:
            why = "" if await self.call(address, code) == code() else "has another harness"
            if not why:
                await self.call(address, blocks.tidy, self._owner, sorted(self._alive()))
        except LostError:
            self._checks.pop(address, None)  # it may come back
            return False
        except RemoteError as error:
            why = error.what
        if why:
            log.warning(f"{host} is of no use: {why}")
        self._next_look = 0
        return not why


def scheduler_gone() -> HostError:
    """What is said where nobody answers any more who could start a task."""
    return HostError(
        "the scheduler is gone", remedy="start it again, and then this; what is done is kept"
    )
