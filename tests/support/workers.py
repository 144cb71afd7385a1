# SPDX-License-Identifier: GPL-2.0-only
"""Dask workers in this process, as if each were a host, and an experiment that they answer at once.

Scheduler, client, ledger and results folder are real; what a host would bring is made here.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dask
from distributed import Client, Scheduler, Worker, get_worker

from bench import fleet
from bench.setting import Setting
from harness.hosts import block, cluster
from harness.hosts.executor import Hosts, RetryPolicy
from harness.results.folder import Results
from harness.results.ledger import Ledger
from harness.run import loop
from harness.units import GIB
from tests.support.messages import collected

LENT = {"host": 1, "memory": 16 * GIB, "cores": 2}
Answer = Callable[[str, str, str], bytes]
"""Host, attempt and plan to what the host sends."""


@dataclass
class Workers:
    """A source whose workers are there from the begin; `dropped` is who gets no more blocks."""

    lent: Mapping[str, Mapping[str, float]]
    inventory: None = None
    dropped: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def connect(self, names: Collection[str], failed: object) -> AsyncIterator[Client]:
        settings = cluster.SETTINGS | {"distributed.worker.memory.terminate": False}
        with dask.config.set(settings):
            async with AsyncExitStack() as stack:
                words = {"protocol": "inproc", "dashboard": False, "dashboard_address": ":0"}
                scheduler = await stack.enter_async_context(Scheduler(**words))
                for name, lent in self.lent.items():
                    more = {
                        "nthreads": 1,
                        "memory_limit": 0,
                        "resources": {**lent, f"host:{name}": 1},
                    }
                    worker = Worker(scheduler.address, name=name, **words, **more)
                    await stack.enter_async_context(worker)
                client = Client(scheduler.address, asynchronous=True, set_as_default=False)
                yield await stack.enter_async_context(client)

    async def tend(self) -> None:
        """They are there all the time."""

    async def drop(self, name: str) -> None:
        self.dropped.append(name)


@dataclass(frozen=True)
class Told:
    """What came of an experiment: ledger, results and what was said."""

    source: Workers
    results: Results
    said: list[str]

    @property
    def ledger(self) -> list[tuple[str, str, str]]:
        """Block, host and fate of every attempt that ended."""
        entries, damage = Ledger(self.results.path).read()
        assert not damage
        return [(e.block, e.host, str(e.fate)) for e in entries if e.fate]

    @property
    def details(self) -> list[str]:
        """Why attempts failed."""
        return [e.detail for e in Ledger(self.results.path).read()[0] if e.fate and e.detail]

    @property
    def counted(self) -> int:
        """Boots, each of them once."""
        stored, damage = self.results.read()
        assert not damage
        ids = [item.run.run_id for item in stored]
        assert len(ids) == len(set(ids))
        return len(ids)


def good(host: str, name: str, text: str) -> bytes:
    """A host that does what it is asked."""
    return fleet.answer(name, text)


def told_to_begin(name: str) -> None:
    """As a task: says where it is, and waits."""
    block.await_order(name, (), "")


def boot_all(
    setting: Setting,
    source: Workers,
    answer: Answer = good,
    blocks: int = 6,
    policy: RetryPolicy | None = None,
) -> Told:
    """Boots so many blocks of two; raises what the executor raises, after what was told is kept."""

    def task(name: str, text: str) -> bytes:
        return answer(str(get_worker().name), name, text)

    session = fleet.make_session(setting, blocks)
    told = Told(source, Results(setting.scratch / "results"), [])
    options = loop.RunOptions(told.results.path)
    with collected(told.said), told.results.locked():
        executor = Hosts(source, policy or RetryPolicy(margin_s=20), task=task)
        loop.run(session, told.results, options, lambda event: None, executor)
    return told


def setting_of(folder: Path, root: Path) -> Setting:
    """Where an experiment of this kind has its things."""
    from harness.project import Project

    return Setting(Project(root, folder / "cache"), folder)
