# SPDX-License-Identifier: GPL-2.0-only
"""The executor for Dask workers that somebody else started, and that share our home folder.

Files lie in ``~/.cache/pageinit/fleet`` for all of them; each worker is a host by its name, which
lends what it declares. Whoever runs that cluster is trusted with everything that we may do.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from harness.errors import HostError, UserError
from harness.hosts.dispatch import Dispatch, Workers
from harness.hosts.home import Home
from harness.hosts.parcel import Lent
from harness.hosts.roster import Log, Patience
from harness.run import Job
from harness.ssh import Link

if TYPE_CHECKING:
    from distributed import Client


UNLIMITED = 1 << 62
CONNECT_S = 30


@dataclass(frozen=True)
class Cluster:
    """Boots blocks on the workers of a scheduler that is elsewhere."""

    scheduler_file: Path
    log: Log
    patience: Patience = field(default_factory=Patience)

    async def execute(self, job: Job) -> None:
        """Gives each worker a block that fits it, as long as there are any."""
        from distributed import Client
        from distributed.comm.core import CommClosedError

        file = str(self.scheduler_file)
        try:
            client = await Client(scheduler_file=file, asynchronous=True, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise UserError(f"no scheduler answers: {error}", where=file) from None
        async with client:
            dispatch = Dispatch(client, Sharing(client, self.log), job, self.patience, self.log)
            try:
                await dispatch.run()
            except CommClosedError:
                raise HostError(
                    "the scheduler is gone",
                    where=file,
                    remedy="start it again, and then this; what is done is kept",
                ) from None
            finally:
                dispatch.stop()


class Sharing:
    """Hosts that have our home folder: what is done there for a block can be done here."""

    def __init__(self, client: Client, log: Log) -> None:
        self._client, self._log = client, log
        self._able: dict[str, bool] = {}
        """workers by address, and whether they find the harness"""
        self._lent: dict[str, Lent] = {}

    async def workers(self) -> Workers:
        """Those that find the harness: one that does not would die of a task."""
        assert self._client.scheduler
        known = (await self._client.scheduler.identity(n_workers=-1))["workers"]
        await self._try({address: str(known[address]["name"]) for address in known})
        found = {}
        for address, worker in known.items():
            if not self._able.get(address):
                continue
            name, declared = str(worker["name"]), dict(worker["resources"])
            memory = int(declared.get("memory", UNLIMITED))
            cores = int(declared.get("cores", worker["nthreads"]))
            found[name] = declared
            self._lent[name] = Lent(memory, cores)
        return found

    async def _try(self, names: dict[str, str]) -> None:
        """Asks workers that are new."""
        new = [address for address in names if address not in self._able]
        if not new:
            return
        word = "harness.hosts.task:LOOK_S"
        said = await self._client.run(resolve_name, word, workers=new, on_error="return")
        for address, answer in said.items():
            self._able[address] = not isinstance(answer, BaseException)
            if not self._able[address]:
                self._log(f"{names[address]} is of no use: {type(answer).__name__}: {answer}")

    def expected(self) -> Collection[str] | None:
        """Nobody knows: a queue may have granted nothing yet."""
        return None

    def lender(self, name: str) -> Lent:
        return self._lent[name]

    def link(self, name: str) -> AbstractContextManager[Link]:
        return nullcontext(Home())

    async def drop(self, name: str) -> None:
        """Has the scheduler end it."""
        await self._client.retire_workers(names=[name])
