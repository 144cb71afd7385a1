# SPDX-License-Identifier: GPL-2.0-only
"""The supervisor of a block: who waits for it, and for whom it waits."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.hosts import supervisor
from tests.support.real import until

ROOT = Path(__file__).parents[3]


@pytest.fixture
def block(tmp_path):
    """The folder of a block whose plan cannot be read: it ends at once, and badly."""
    (tmp_path / "plan.json").write_text("{}")
    return tmp_path


def launch(block, seconds=30):
    argv = [sys.executable, "-m", "harness.hosts.supervisor", str(block), str(block / "lock")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (block / "log").open("wb") as log:
        subprocess.run([*argv, str(seconds)], env=env, stdout=log, stderr=log, check=True)


def pids(block):
    """Its supervisor, and what that has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(block).encode() in words and any(b"harness.hosts" in word for word in words):
            found.append(int(path.parent.name))
    return found


def test_the_outcome_is_there_as_soon_as_it_has_ended(block):
    launch(block)
    assert supervisor.ended(block, 30)
    assert json.loads((block / supervisor.OUTCOME).read_text()) == {"cause": "ended", "status": 1}
    assert "validation error" in (block / supervisor.LOG).read_text()
    assert supervisor.ended(block, 0)
    until(lambda: not pids(block))


def test_one_block_at_a_time_has_a_host(block):
    with (block / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        launch(block, 0.01)
        start = time.monotonic()
        assert not supervisor.ended(block, 1.5) and time.monotonic() - start > 1.4
        assert len(pids(block)) == 1
    assert supervisor.ended(block, 30)
    assert json.loads((block / supervisor.OUTCOME).read_text())["cause"] == "deadline"


def test_one_that_is_killed_has_ended_without_an_outcome(block):
    with (block / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        launch(block)
        assert not supervisor.ended(block, 0)
        for pid in pids(block):
            os.kill(pid, signal.SIGKILL)
        assert supervisor.ended(block, 5)
    assert not (block / supervisor.OUTCOME).exists()


def test_one_that_never_began_has_ended(tmp_path):
    assert supervisor.ended(tmp_path, 5)
