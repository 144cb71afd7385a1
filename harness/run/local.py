# SPDX-License-Identifier: GPL-2.0-only
"""Where blocks are booted: an interface, and the executor for this host.

An executor gets blocks, the whole of what is distributed: all boots of one machine, by one clock,
with one number stay on one host, so that what is compared was measured together. It may run one
more than once (a host that died may have finished); `Results.adopt` counts each boot once.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from harness import host
from harness.model import Block, Run, Slot
from harness.results import Fate, Ledger, Results
from harness.run.session import Session

T = TypeVar("T")


async def share(
    jobs: Iterable[tuple[T, int]], seats: int, room: int, work: Callable[[T], Awaitable[None]]
) -> None:
    """Awaits `work` of each job, begun in their order, at most `seats` of them at a time.

    A job comes with the bytes that it needs; those at work need no more than `room` together, but
    one that needs more than that by itself is begun alone. The first error ends all.
    """
    try:
        async with asyncio.TaskGroup() as group:
            running: dict[asyncio.Task[None], int] = {}
            for job, need in jobs:
                while running and (len(running) >= seats or sum(running.values()) + need > room):
                    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        del running[task]
                running[group.create_task(_run(work, job))] = need
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _run(work: Callable[[T], Awaitable[None]], job: T) -> None:
    await work(job)


@dataclass(frozen=True)
class Job:
    """What there is to boot, and all that an executor may need for it."""

    session: Session
    results: Results
    ledger: Ledger
    blocks: tuple[Block, ...]
    need: Callable[[Slot], int]
    """bytes of host memory that a boot takes"""
    seconds: Callable[[Slot], float]
    """longest that a boot may take, all its attempts together"""
    boot: Callable[[Slot], Awaitable[Run]]
    """boots on this host, and tells whoever watches"""
    tell: Callable[[Slot, Run], None]
    """for a boot that happened elsewhere: tells whoever watches"""
    force: bool = False


class Executor(Protocol):
    """Boots every block of a job, somewhere; the ledger and the results folder have it then."""

    async def execute(self, job: Job) -> None:
        """Returns when nothing is left to do. Raises `HarnessError` where it cannot go on."""


@dataclass(frozen=True)
class Local:
    """Boots on this host: many of the work clock at once, those of the time clock one by one."""

    cores: int | None = None
    """boots of the work clock at once; as many as there are CPUs where it is absent"""
    memory: int | None = None
    """bytes that they may take together, if not all that is free"""

    async def execute(self, job: Job) -> None:
        """Takes the boots of the work clock first: no load disturbs them."""
        for clock, seats in (("work", self.cores or os.cpu_count() or 1), ("time", 1)):
            pages = [_Page(job.ledger, block) for block in job.blocks if block.clock == clock]
            boots = [((page, slot), job.need(slot)) for page in pages for slot in page.block.slots]

            async def work(item: tuple[_Page, Slot]) -> None:
                page, slot = item
                page.begin()
                page.enter(await job.boot(slot))

            free = host.available_memory()
            await share(boots, seats, min(free, self.memory or free), work)


class _Page:
    """What the ledger has to learn of one block while its boots come and go."""

    def __init__(self, ledger: Ledger, block: Block) -> None:
        self.block = block
        self._ledger = ledger
        self._host = platform.node()
        self._attempt = 0
        self._runs: dict[str, str] = {}

    def begin(self) -> None:
        """The first boot of the block opens it."""
        self._attempt = self._attempt or self._ledger.begin(self.block.key, self._host)

    def enter(self, run: Run) -> None:
        """The last one closes it."""
        self._runs[run.run_id] = run.judgement.outcome
        if len(self._runs) == len(self.block.slots):
            self._ledger.end(self.block.key, self._attempt, self._host, Fate.DONE, runs=self._runs)
