# SPDX-License-Identifier: GPL-2.0-only
"""The working directories of others: those of the dead go, those of the living stay."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.qemu.vm import WorkDir

MAKE = "from harness.qemu.vm import WorkDir; print(WorkDir().path, flush=True)"


@pytest.fixture
def mine():
    work = WorkDir()
    yield work
    work.remove()


def test_that_of_a_killed_process_is_removed_by_the_next():
    argv = [sys.executable, "-c", f"{MAKE}; input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        path = Path(other.stdout.readline().strip())
        WorkDir().remove()
        assert path.is_dir()
        other.send_signal(signal.SIGKILL)
    WorkDir().remove()
    assert not path.exists()


def test_that_of_a_process_in_another_pid_namespace_stays(mine):
    """Whoever looks there finds none of our numbers."""
    enter = ["unshare", "--pid", "--fork", "--mount-proc"]
    done = subprocess.run([*enter, "true"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no PID namespace: {done.stderr.strip()}")
    subprocess.run([*enter, sys.executable, "-c", MAKE], check=True)
    assert mine.path.is_dir()


def test_it_and_its_files_are_private(mine):
    mine.write("key", b"x")
    assert [p.stat().st_mode & 0o777 for p in (mine.path, mine.path / "key")] == [0o700, 0o600]
