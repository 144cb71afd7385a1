# SPDX-License-Identifier: GPL-2.0-only
"""Who is there, who is trusted, and what a worker lends."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("distributed")

from harness.errors import RemoteError
from harness.hosts import pool as pools
from harness.hosts.cluster import declare
from harness.hosts.inventory import Host, Need, obstacle
from harness.hosts.pool import LostError, Pool, Worker, only, resources
from tests.support.workers import LENT, Workers

labels = st.lists(st.sampled_from(["milan", "big", "old"]), unique=True)
accels = st.sampled_from(["tcg", "kvm"])


machines = st.tuples(st.integers(1, 1 << 50), labels, accels)
"""Memory, labels and accelerator: what a host lends, or a block needs."""


@given(lends=machines, needs=machines)
def test_a_worker_fits_where_the_inventory_says_that_its_host_does(lends, needs):
    memory, has, accel = lends
    keys = {"address": "a", "user": "u", "memory": memory, "cores": 2, "accel": accel}
    host = Host.parse(keys | {"labels": has}, "host")
    worker = Worker("h", declare("h", host.memory, host.cores, host.accel, host.labels), 2)
    need = Need(needs[0], needs[2], tuple(needs[1]))
    assert worker.fits(resources(need)) == (obstacle(host, need) is None)
    assert worker.fits(only("h")) and not worker.fits(only("other"))


@asynccontextmanager
async def connected(source, monkeypatch, tmp_path, alive=tuple):
    monkeypatch.setenv("HOME", str(tmp_path))
    async with source.connect((), print) as client:
        pool = Pool(source, 3, "owner", alive)
        pool.connect(client)
        yield pool
        pool.close()


async def seen(pool, count):
    """Looks until so many workers have been checked."""
    for _ in range(200):
        await pool.look()
        if len(pool.workers) == count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(pool.workers)


def test_workers_are_there_once_they_have_shown_their_code(monkeypatch, tmp_path):
    async def run():
        source = Workers({"one": LENT, "two": LENT | {"memory": 1}, "other": {}})
        async with connected(source, monkeypatch, tmp_path) as pool:
            assert pool.workers == {}
            await seen(pool, 2)
            assert {worker.host for worker in pool.workers.values()} == {"one", "two"}
            fit = pool.fitting({"host": 1, "memory": 2})
            assert [worker.host for worker in fit.values()] == ["one"]

    asyncio.run(run())


def test_a_worker_with_other_code_is_of_no_use_and_sent_away(monkeypatch, tmp_path, caplog):
    async def run():
        async with connected(Workers({"one": LENT}), monkeypatch, tmp_path) as pool:

            async def theirs(*words):
                return "theirs"

            monkeypatch.setattr(pool, "call", theirs)
            await pool.look()
            await asyncio.wait(pool.checks)
            await pool.look()
            assert pool.workers == {}

    asyncio.run(run())
    assert "one is of no use: has another harness" in caplog.text


def test_who_fails_too_often_in_a_row_is_set_aside(monkeypatch, tmp_path):
    async def run():
        source = Workers({"one": LENT, "two": LENT})
        async with connected(source, monkeypatch, tmp_path) as pool:
            await seen(pool, 2)
            for host in ("one", "two", "one", "two"):
                pool.blame(host)
            pool.praise("two")
            pool.blame("one")
            pool.blame("two")
            assert not pool.trusts("one") and pool.trusts("two")
            await seen(pool, 1)
            assert [worker.host for worker in pool.workers.values()] == ["two"]
            assert source.dropped == ["one"]

    asyncio.run(run())


def test_what_a_worker_is_asked_is_answered_or_named(monkeypatch, tmp_path):
    def fails():
        raise ValueError("\x1b[31mno")

    async def run():
        async with connected(Workers({"one": LENT}), monkeypatch, tmp_path) as pool:
            await seen(pool, 1)
            (address,) = pool.workers
            assert await pool.call(address, max, 1, 2) == 2
            assert (await pool.find(address)).host == "one"
            with pytest.raises(RemoteError, match="ValueError: \N{REPLACEMENT CHARACTER}"):
                await pool.call(address, fails)
            with pytest.raises(LostError, match="does not answer"):
                await pool.call(f"{address}9", max, 1, 2)
            assert await pool.find(f"{address}9") is None

    asyncio.run(run())


def test_what_nobody_asks_for_again_is_removed_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    here = pools.blocks.blocks()
    for name in ("owner-a-1", "owner-b-1", "stranger-a-1"):
        (here / name).mkdir(parents=True)

    async def run():
        source = Workers({"one": LENT})
        async with connected(source, monkeypatch, tmp_path, lambda: ["owner-a-1"]) as pool:
            await seen(pool, 1)

    asyncio.run(run())
    assert {path.name for path in here.iterdir()} == {"owner-a-1", "stranger-a-1"}
