# SPDX-License-Identifier: GPL-2.0-only
"""The hosts of an inventory under Dask: what works under the other engine, and its own faults."""

import time

import pytest

from harness.ledger import Fate
from tests.ssh.fleet import fleet_folder, running

pytest.importorskip("distributed")
pytestmark = pytest.mark.ssh


def gone(server):
    """Whether nothing of ours is left on a host, or soon will be."""
    words, end = ("harness.worker", "harness.attendant", "supervise"), time.monotonic() + 5
    while found := [pid for word in words for pid in running(server, word)]:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return not found


def test_blocks_are_booted_on_hosts_and_come_back(dask):
    servers = [dask.serve(name) for name in ("one", "two")]
    assert dask.run() == 0
    assert dask.counted() == 4
    assert {fate for *_, fate in dask.ledger} == {Fate.DONE}
    assert {host for _, _, host, _ in dask.ledger} == {"one", "two"}
    for server in servers:
        assert not list((fleet_folder(server) / "blocks").iterdir())
        assert gone(server)
