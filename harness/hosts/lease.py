# SPDX-License-Identifier: GPL-2.0-only
"""A task of Dask that holds a host for one attempt at a block, and the way to that host."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from harness.hosts import task, wheel
from harness.hosts.courier import Courier, State
from harness.ssh import Link

if TYPE_CHECKING:
    from distributed import Client, Future


LOOK_S = 0.5

Resources = dict[str, float]
"""What a worker declares, or a block asks for."""


class Lease:
    """Asks Dask for a host, and again for the same one where its worker was lost.

    All of it belongs to the event loop but the way: `link`, `begin` and `outcome`.
    """

    def __init__(self, client: Client, ident: str, seconds: float) -> None:
        self._client = client
        self._words = (ident, seconds, wheel.name())
        self._loop = asyncio.get_running_loop()
        self._times = 0
        self._lost = False
        self._over = threading.Event()
        self._watch: asyncio.Task[None] | None = None
        self._future: Future[None] | None = None
        self.host: asyncio.Future[str] = self._loop.create_future()
        """where the task is; no name where it ended before anybody knew"""
        self.connect: Callable[[], AbstractContextManager[Link]]
        self.error = ""
        """what Dask said of a task that failed"""
        self.home: Resources = {}
        """what to ask for to come to the same host again, where that can be done"""

    def ask(self, need: Resources) -> None:
        """Has Dask choose a host that has all this."""
        self._times += 1
        key = f"{self._words[0]}#{self._times}"
        self._future = self._client.submit(
            task.boot, *self._words, key=key, resources=need, pure=False, retries=0
        )
        self._watch = asyncio.create_task(self._await(self._future))

    def release(self) -> None:
        """The host is free again; a task that is still there looks up and ends."""
        if self._watch and self._future:
            self._watch.cancel()
            self._future.release()

    def arrive(self, name: str) -> None:
        """The task is on a host; where Dask moves it to another, that one only waits."""
        if not self.host.done():
            self.host.set_result(name)

    async def _await(self, future: Future[None]) -> None:
        from distributed import wait

        await wait([future])
        if future.status == "error":
            self.error = f"its task: {await future.exception()}"[:300]
        self._over.set()
        self.arrive("")

    def link(self) -> AbstractContextManager[Link]:
        return self.connect()

    def begin(self, courier: Courier, ident: str, seconds: float) -> None:
        """The task does, as soon as it sees the parcel."""

    def outcome(self, courier: Courier, ident: str) -> State | None:
        """A task that ended without one has lost its worker: the block may well go on.

        Another task waits for it, where one can come to the same host; we ask, too.
        """
        ended = self._over.wait(LOOK_S)
        self._over.clear()
        self._lost |= ended
        if not self._lost:
            return None
        state = courier.wait(ident, 0)
        found = state.outcome
        if found and (found.cause != "not-begun" or (ended and not self.home)):
            return state
        if ended and self.home:
            self._loop.call_soon_threadsafe(self.ask, self.home)
        return None
