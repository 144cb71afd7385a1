# SPDX-License-Identifier: GPL-2.0-only
"""Runs the worker of a block on a host: it has a deadline, and writes the outcome last.

A worker is killed with its supervisor, and QEMU with the worker. As long as it lives it touches a
file, for those who share the home folder and cannot see its process. Like the porter that starts
it, it knows the standard library alone, and no syntax younger than Python 3.7.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time

from harness.hosts import porter

BEAT_S = 10
PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def begin(block: str, seconds: float, python: str, wheel: str) -> None:
    """Supervises a block, unless somebody does: as a process that is nobody's child.

    Who kills another one with all of its children does not find it.
    """
    launched = porter.block_folder(block) / porter.LAUNCHED
    try:
        os.close(os.open(str(launched), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    if os.fork():
        os._exit(0)  # at once: as long as we are there, it is our child
    os.setsid()
    supervise(block, seconds, python, wheel)


def supervise(block: str, seconds: float, python: str, wheel: str) -> None:
    """Runs the worker of a block to its end, or to the deadline, and says which."""
    folder = porter.block_folder(block)
    note, end = folder / porter.SUPERVISOR, time.monotonic() + seconds
    note.write_text(f"{porter.here()} {os.getpid()} {porter.started(os.getpid())}")

    def beat(*_: object) -> None:
        # A wait with a limit would look up again and again, and cost the boots that it waits for.
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        with contextlib.suppress(OSError):
            os.utime(str(note))
        signal.setitimer(signal.ITIMER_REAL, max(0.01, min(BEAT_S, left)))

    signal.signal(signal.SIGALRM, beat)
    argv = [python, "-s", "-m", "harness.hosts.worker", str(folder), str(porter.FILES)]
    try:
        worker = subprocess.Popen(
            argv,
            cwd=str(folder),
            env=porter.environment(wheel),
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 there is one thread
        )
        beat()
        ending = {"cause": "ended", "status": worker.wait()}
    except TimeoutError:
        os.killpg(worker.pid, signal.SIGKILL)
        ending = {"cause": "deadline", "status": worker.wait()}
    except OSError as error:
        ending = {"cause": "no-worker", "status": error.errno or 1}
    signal.setitimer(signal.ITIMER_REAL, 0)
    part = folder / "outcome.part"
    part.write_text(json.dumps(ending))
    part.rename(folder / porter.OUTCOME)


if __name__ == "__main__":
    os.umask(0o077)
    begin(sys.argv[1], float(sys.argv[2]), *sys.argv[3:5])
