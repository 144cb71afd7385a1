# SPDX-License-Identifier: GPL-2.0-only
"""One function over many items, on every CPU."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from harness.errors import HostError

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``[work(item) for item in items]``; in processes where there is more than one to do.

    There `work` has to be a function of a module, and it sees the modules as they are now.
    """
    cpus = min(len(os.sched_getaffinity(0)), len(items))
    if cpus < 2:
        return [work(item) for item in items]
    # Forked, a worker has pandas loaded already; starting anew would cost it half a second.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(cpus, context, _begin) as pool:
        try:
            return list(pool.map(work, items))
        except BrokenProcessPool:
            raise HostError(
                "a worker process was killed", remedy="make room in memory, or use fewer CPUs"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    # Ctrl-C is for the parent, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A worker lives for seconds: looking for cycles among its rows took a quarter of its time.
    gc.disable()
