# SPDX-License-Identifier: GPL-2.0-only
"""Runs a Python program as the job of a batch system: ``python -m harness.hosts.job -m MODULE``.

Whatever it began and left behind ends with it. A block outlives the Dask worker that began it; on
a node that is given to somebody else next, it must not, however the batch system tracks processes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h


def main() -> None:
    """Ends as the program does."""
    # Who loses its parent becomes our child, and stays visible as part of the job.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program = subprocess.Popen([sys.executable, *sys.argv[1:]])
    # Killed: a Dask worker may hang in an end of its own, and brings nothing home.
    signal.signal(signal.SIGTERM, lambda *_: program.kill())
    status = program.wait()
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while left := children.read_text().split():
        for pid in map(int, left):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
