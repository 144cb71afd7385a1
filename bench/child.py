# SPDX-License-Identifier: GPL-2.0-only
"""A command of the harness in a process of its own: how long it takes, and how much memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Of one command: seconds, CPU seconds of all its processes, and the largest one's memory."""

    seconds: float
    cpu_s: float
    mib: float


def cost(*words: str) -> Cost:
    """Runs ``harness WORDS`` to its end; raises `CalledProcessError` where it fails."""
    argv = [sys.executable, "-m", "harness", *words]
    start = time.perf_counter()
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, argv)
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
