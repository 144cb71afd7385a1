# SPDX-License-Identifier: GPL-2.0-only
"""Work that shares the host: as much at once as there are CPUs and memory for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

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
