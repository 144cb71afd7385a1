# SPDX-License-Identifier: GPL-2.0-only
"""The job of a batch system ends as its program does, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

JOB = [sys.executable, "-m", "harness.hosts.job"]


def test_it_ends_as_the_program_does():
    for status in (0, 3):
        done = subprocess.run([*JOB, "-c", f"raise SystemExit({status})"])
        assert done.returncode == status


def test_a_program_that_a_signal_ends_says_which():
    done = subprocess.run([*JOB, "-c", "import os; os.kill(os.getpid(), 6)"])
    assert done.returncode == 128 + signal.SIGABRT


ORPHAN = """
import os, subprocess, sys, time
if not os.fork():
    os.setsid()
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])
    print(os.getpid(), left.pid, flush=True)
    os._exit(0) if {leaves} else time.sleep(99)
time.sleep({seconds})
"""


def gone(pid):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("leaves", [True, False])
def test_what_was_begun_and_left_behind_ends_with_it(leaves):
    code = ORPHAN.format(leaves=leaves, seconds=0.5)
    done = subprocess.run([*JOB, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2 and all(map(gone, pids))


def test_a_job_that_is_told_to_end_kills_its_program_and_the_rest():
    code = ORPHAN.format(leaves=False, seconds=99)
    with subprocess.Popen([*JOB, "-c", code], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout
        pids = [int(word) for word in job.stdout.readline().split()]
        job.terminate()
        assert job.wait(30) == 128 + signal.SIGKILL
    assert len(pids) == 2 and all(map(gone, pids))
