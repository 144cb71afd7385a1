# SPDX-License-Identifier: GPL-2.0-only
"""Boots a block on a host in a session of its own: ``python -m harness.hosts.supervisor``.

It outlives the Dask worker that began it, has the block's deadline, and writes the outcome last.
The block is killed with it, and QEMU with the block. One block at a time has a host: others wait.
It knows the standard library alone, to begin at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

ALIVE, OUTCOME, LOG = "alive", "outcome.json", "log"
"""In the folder of a block: a FIFO that its supervisor has open, how it ended, what was said."""
PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h


def die_with_parent() -> None:
    """Has this process killed with the one that began it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def begin(folder: Path, lock: Path, seconds: float) -> None:
    """Supervises a block, as a process that is nobody's child; returns in its parent at once.

    Who kills a process with all of its children does not find it.
    """
    os.mkfifo(folder / ALIVE, 0o600)
    alive = os.open(folder / ALIVE, os.O_RDWR)  # not inherited by what it starts
    if os.fork():
        os._exit(0)
    os.setsid()
    with lock.open("w") as host:
        fcntl.flock(host, fcntl.LOCK_EX)
        outcome = supervise(folder, seconds)
    part = folder / "outcome.part"
    part.write_text(json.dumps(outcome))
    part.rename(folder / OUTCOME)
    os.close(alive)


def supervise(folder: Path, seconds: float) -> dict[str, object]:
    """Boots the block to its end, or to the deadline, and says which."""
    try:
        block = subprocess.Popen(
            [sys.executable, "-s", "-m", "harness.hosts.block", str(folder)],
            cwd=folder,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 there is one thread
        )
    except OSError as error:
        return {"cause": "no-process", "status": error.errno or 1}
    try:
        # A sleep until then: subprocess would look up again and again, beside what is measured.
        ending = os.pidfd_open(block.pid)
        cause = "ended" if select.select([ending], [], [], seconds)[0] else "deadline"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(block.pid, signal.SIGKILL)
    return {"cause": cause, "status": block.wait()}


def ended(folder: Path, seconds: float) -> bool:
    """Waits for the end of a block's supervisor, at most so long; whether it has ended."""
    try:
        alive = os.open(folder / ALIVE, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return True  # it never began
    try:
        with contextlib.suppress(BlockingIOError):
            if not os.read(alive, 1):
                return True
        poll = select.poll()
        poll.register(alive, select.POLLIN)
        return bool(poll.poll(1000 * seconds))
    finally:
        os.close(alive)


if __name__ == "__main__":
    os.umask(0o077)
    begin(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
