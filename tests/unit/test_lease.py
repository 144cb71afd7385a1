# SPDX-License-Identifier: GPL-2.0-only
"""A lease on a host, with a real scheduler and a real worker in this process."""

import asyncio
import contextlib
import gc
import time

import pytest

pytest.importorskip("distributed")

from harness.hosts import attendant, porter
from harness.hosts.lease import Lease
from harness.hosts.scheduler import open_gate
from harness.hosts.task import TOPIC


def test_a_host_is_free_as_soon_as_it_is_released(tmp_path, monkeypatch):
    """Its task waits for a parcel that never comes, and Python does not tidy up for us."""
    monkeypatch.setattr(porter, "ROOT", tmp_path)
    monkeypatch.setattr(porter, "BLOCKS", tmp_path / "blocks")

    async def run():
        async with open_gate(tmp_path) as gate:
            settings = {"scheduler": f"tls://127.0.0.1:{gate.port}", "identity": gate.identity}
            settings |= {"name": "one", "resources": {"x": 1}, "listen": "tls://127.77.0.1"}
            worker = asyncio.create_task(attendant.work(settings))
            lease = Lease(gate.client, "block", 1)
            gate.client.subscribe_topic(TOPIC, lambda event: lease.arrive(event[1]["host"]))
            lease.ask({"x": 1})
            assert await asyncio.wait_for(lease.host, 10) == "one"
            assert gate.scheduler.tasks
            lease.release()
            end = time.monotonic() + 3
            while gate.scheduler.tasks and time.monotonic() < end:
                await asyncio.sleep(0.05)
            left = dict(gate.scheduler.tasks)
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
            assert not left

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()
