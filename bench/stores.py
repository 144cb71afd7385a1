# SPDX-License-Identifier: GPL-2.0-only
"""How fast this host clears memory: the bound of everything that writes a memmap."""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench.figure import Figure
from bench.setting import Setting
from harness.units import GIB

log = logging.getLogger(__name__)

SIZE = GIB
"""Bytes that each CPU clears, far more than caches hold."""
ROUNDS = 12


def measure(setting: Setting) -> Iterator[Figure]:
    """One CPU and all of them by turns; memset(3) of memory that was touched before."""
    count = os.cpu_count() or 1
    blocks = [mmap.mmap(-1, SIZE) for _ in range(count)]
    places = [ctypes.addressof(ctypes.c_char.from_buffer(block)) for block in blocks]
    for place in places:
        ctypes.memset(place, 1, SIZE)
    speeds: dict[int, list[float]] = {1: [], count: []}
    with ThreadPoolExecutor(count) as pool:
        for number in range(ROUNDS):
            log.info(f"stores: round {number + 1} of {ROUNDS}")
            for cpus, found in speeds.items():
                start = time.perf_counter()
                list(pool.map(_clear, places[:cpus]))
                found.append(cpus * SIZE / 1e9 / (time.perf_counter() - start))
    for cpus, found in speeds.items():
        name = "one CPU" if cpus == 1 else f"{cpus} CPUs"
        yield Figure(f"stores: {name}", "GB/s", tuple(found), note="memset of 1 GiB each")


def _clear(place: int) -> None:
    ctypes.memset(place, 0, SIZE)
