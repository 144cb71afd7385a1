# SPDX-License-Identifier: GPL-2.0-only
"""Keeps a Dask worker on a host as long as somebody at the other end of the connection is there.

The first line of its input says what worker; every byte after it is sent back. Where none comes
for a while, or the connection ends, the worker is killed: none stays behind. A block is under
another supervisor and goes on. Nothing secret touches the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import time
from typing import Any

from harness.hosts import porter, supervisor

GONE_S = 60.0
REGISTER_S = 30
LOG = porter.ROOT / "dask.log"
SETTINGS = {
    # A boot is being timed beside it.
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.http.routes": [],
    "distributed.admin.system-monitor.interval": "10s",
}


def attend(settings: bytes) -> None:
    """Returns when the worker has ended, or was killed."""
    porter.ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = [sys.executable, "-s", "-m", "harness.hosts.attendant", "work"]
    with LOG.open("wb") as log:
        worker = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=supervisor.die_with_parent,  # noqa: PLW1509 there is one thread
        )
    assert worker.stdin
    worker.stdin.write(settings)
    worker.stdin.close()
    heard = time.monotonic()
    while worker.poll() is None and time.monotonic() < heard + GONE_S:
        if select.select([0], [], [], 0.2)[0]:
            data = os.read(0, 4096)
            if not data:
                break
            os.write(1, data)
            heard = time.monotonic()
    worker.kill()
    worker.wait()
    sys.stderr.buffer.write(LOG.read_bytes()[-1000:])


async def work(settings: dict[str, Any]) -> None:
    """The worker; it ends with the connection to its scheduler."""
    import dask
    from distributed import Security, Worker

    class Quiet(Worker):
        """Without the web server, which every user of the host could ask."""

        def start_http_server(self, *args: object, **words: object) -> None:
            """There is none."""

    dask.config.set(SETTINGS)
    security = Security(require_encryption=True, **settings["identity"])
    async with Quiet(
        settings["scheduler"],
        nthreads=1,
        name=settings["name"],
        resources=settings["resources"],
        host=settings["listen"],
        protocol="tls",
        security=security,
        memory_limit=0,
        local_directory=str(porter.ROOT / "dask"),
        death_timeout=REGISTER_S,
    ) as worker:
        await worker.finished()


if __name__ == "__main__":
    os.umask(0o077)
    line = sys.stdin.buffer.readline()
    if sys.argv[1:] == ["work"]:
        try:
            asyncio.run(work(json.loads(line)))
        finally:
            os._exit(1)  # a thread may still hold a block
    attend(line)
