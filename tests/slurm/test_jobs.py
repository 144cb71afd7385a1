# SPDX-License-Identifier: GPL-2.0-only
"""Nodes of a Slurm of our own, held for blocks: what jobs ask for, and what becomes of them."""

import asyncio
import importlib.util
import os
import threading
import time

import pytest

from harness.units import GIB

distributed = pytest.importorskip("distributed")
if not importlib.util.find_spec("dask_jobqueue"):  # imported, it takes SIGINT for itself
    pytest.skip("no dask-jobqueue", allow_module_level=True)

from harness.hosts.cluster import Jobs  # noqa: E402
from harness.hosts.inventory import Batch  # noqa: E402
from tests.support.messages import collected  # noqa: E402

pytestmark = pytest.mark.slurm


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class Holder:
    """Jobs held in a thread, as an experiment holds them."""

    def __init__(self, file):
        self.said = []
        self.jobs = Jobs(Batch.load(file), poll_s=1, longest_poll_s=2)
        self._ready, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hold()), daemon=True)

    async def _hold(self):
        self.loop = asyncio.get_running_loop()
        with collected(self.said):
            await self._held()

    async def _held(self):
        async with self.jobs.connect((), lambda *words: None) as self.client:
            self._ready.set()
            while not self._over.is_set():
                await self.jobs.tend()
                await asyncio.sleep(0.1)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *exc):
        self._over.set()
        self._thread.join(30)

    def ask(self, coroutine, seconds=30):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def workers(self):
        return self.ask(self.client.scheduler.identity(n_workers=-1))["workers"].values()

    def run_on(self, name):
        """The node that a task comes to which asks for one."""

        async def run():
            return await self.client.submit(node, resources={f"host:{name}": 1}, pure=False)

        return self.ask(run())


@pytest.fixture
def holder(slurm, batch):
    """With a worker on each of two nodes."""
    with Holder(batch()) as holder:
        until(lambda: len(holder.workers()) == 2)
        yield holder


def node():
    return os.environ["SLURMD_NODENAME"]


def running(slurm):
    """Job by node."""
    lines = [line.split() for line in slurm.jobs("%A %T %N")]
    return {words[2]: words[0] for words in lines if words[1] == "RUNNING"}


def test_each_node_lends_itself_to_one_block_at_a_time(slurm, holder):
    lent = {"host": 1.0, "memory": 4.0 * GIB, "cores": 2.0}
    found = [w["resources"] for w in holder.workers()]
    assert sorted(found, key=str) == [lent | {f"host:{n}": 1.0} for n in slurm.nodes]
    assert {w["nthreads"] for w in holder.workers()} == {1}
    assert slurm.jobs("%N %m %l %h") == ["n1 5G 10:00 NO", "n2 5G 10:00 NO"]
    for name in slurm.nodes:
        assert holder.run_on(name) == name


def test_another_job_takes_the_place_of_one_that_was_cancelled(slurm, holder):
    first = running(slurm)
    slurm.ask("scancel", first["n1"])
    until(lambda: len(running(slurm)) == 2 and running(slurm)["n1"] != first["n1"])
    assert running(slurm)["n2"] == first["n2"]
    assert holder.run_on("n1") == "n1"


def test_a_job_that_was_cancelled_while_it_waited_is_asked_for_again(slurm, batch):
    slurm.ask("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
    with Holder(batch()):
        until(lambda: len(slurm.jobs()) == 2 and running(slurm))
        (waits,) = set(slurm.jobs()) - set(running(slurm).values())
        slurm.ask("scancel", waits)
        until(lambda: len(slurm.jobs()) == 2 and waits not in slurm.jobs())
        slurm.ask("scontrol", "update", "nodename=n2", "state=resume")
        until(lambda: set(running(slurm)) == {"n1", "n2"})


def test_a_job_that_was_refused_is_asked_for_again_and_the_reason_said(slurm, batch):
    slurm.ask("scontrol", "update", "partitionname=lab", "state=inactive")
    with Holder(batch()) as holder:
        until(lambda: any("sbatch: error" in text for text in holder.said))
        slurm.ask("scontrol", "update", "partitionname=lab", "state=up")
        until(lambda: set(running(slurm)) == {"n1", "n2"})


def test_jobs_end_with_whoever_holds_them(slurm, batch):
    with Holder(batch()):
        until(lambda: len(running(slurm)) == 2)
    until(lambda: not slurm.jobs())
    until(lambda: not slurm.processes("distributed.cli.dask_worker"))


def test_a_controller_that_is_away_for_a_while(slurm, holder):
    """Jobs go on, and are the same ones afterwards."""
    first = running(slurm)
    with slurm.without_controller():
        time.sleep(3)
    assert holder.run_on("n2") == "n2"
    until(lambda: running(slurm) == first)
    assert not any("job has ended" in text for text in holder.said)


def test_nobody_else_is_let_in(slurm, holder, tmp_path):
    files = list((tmp_path / "home/.cache/pageinit/hosts").glob("*dask-jobqueue*"))
    assert files and all(path.stat().st_mode & 0o77 == 0 for path in files)
    address = holder.client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")

    async def knock(address, security):
        args = security.get_connection_args("client")
        comm = await distributed.comm.connect(address, timeout=2, **args)
        await comm.close()

    asyncio.run(knock(address, holder.client.security))
    with pytest.raises(OSError):
        asyncio.run(knock(address, distributed.Security.temporary()))
    with pytest.raises(OSError):
        asyncio.run(knock(address.replace("tls", "tcp"), distributed.Security()))
