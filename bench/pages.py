# SPDX-License-Identifier: GPL-2.0-only
"""What the first touch of a page costs on this host: as it is, and with its memory kept."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.figure import Figure
from bench.setting import Setting
from harness import host, host_memory
from harness.units import GIB, format_size

log = logging.getLogger(__name__)

MOST = 12 * GIB
"""Bytes that are touched, or half of what is free."""
ROUNDS = 6
REST_S = 10.0
"""For a hypervisor to take back what is free."""
TOUCH = """
import mmap, resource, sys
size = int(sys.argv[1])
memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
before = resource.getrusage(resource.RUSAGE_SELF).ru_stime
for page in range(0, size, 4096):
    memory[page] = 1
print(1e6 * (resource.getrusage(resource.RUSAGE_SELF).ru_stime - before) / (size / 4096))
"""


def measure(setting: Setting) -> Iterator[Figure]:
    """A process of its own touches each page once, after a rest: so many times in a row each."""
    size = min(MOST, host.available_memory() // 2)
    note = f"{format_size(size)} page by page, after {REST_S:g} s of rest; system time"
    yield Figure("pages: first touch", "µs a page", _touched("as it is", size), note=note)
    if host_memory.is_taken_back():
        with host_memory.held(size):
            kept = _touched("kept", size)
        yield Figure("pages: first touch, memory kept", "µs a page", kept, note=note)


def _touched(what: str, size: int) -> tuple[float, ...]:
    found = []
    for number in range(ROUNDS):
        log.info(f"pages: {what}, round {number + 1} of {ROUNDS}")
        time.sleep(REST_S)
        argv = [sys.executable, "-I", "-c", TOUCH, str(size)]
        found.append(float(subprocess.run(argv, check=True, capture_output=True).stdout))
    return tuple(found)
