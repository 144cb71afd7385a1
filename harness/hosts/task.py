# SPDX-License-Identifier: GPL-2.0-only
"""What Dask runs on a host for a block: it holds the host until the block has an outcome.

Nobody knows where a task goes until it is there. So it says where, waits for what the block needs
(the ledger has it by then), has it begun as any engine would, and waits for its end. It brings
nothing back: what became of the block, and what it made, is read from the host's disk.
"""

from __future__ import annotations

import sys
import time

from harness.hosts import porter

TOPIC = "pageinit"
"""Under which a task says where it is."""
SAY_S = 5
LOOK_S = 0.25


def boot(block: str, seconds: float, wheel: str) -> None:
    """Runs in a thread of a Dask worker."""
    from distributed import get_worker

    worker = get_worker()
    task = worker.get_current_task()

    def wanted() -> bool:
        """A thread cannot be cancelled from outside: it has to look."""
        here = worker.state.tasks.get(task)
        return here is not None and here.state == "executing" and worker.status.name == "running"

    folder, say = porter.block_folder(block), 0.0
    while say == 0 or not (folder / porter.PARCEL).is_file():
        if not wanted():
            return
        if time.monotonic() >= say:  # again and again, in case nobody heard
            worker.log_event(TOPIC, {"block": block, "host": str(worker.name)})
            say = time.monotonic() + SAY_S
        time.sleep(porter.LOOK_S)
    porter.launch(block, f"{seconds:.0f}", sys.executable, wheel)
    while wanted() and not porter.outcome(folder):
        porter.rest(folder, LOOK_S)
