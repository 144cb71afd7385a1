# SPDX-License-Identifier: GPL-2.0-only
"""A Dask worker on a host of an inventory, as long as somebody is at the other end of its input.

The first line of that says what worker. It answers with its port, and then sends back each byte
that it gets: it lives. Where none comes for a while, or the input ends, it is killed, so that none
stays behind; what it has begun goes on. Nothing secret touches the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
from typing import Any

from harness.hosts import block, supervisor

GONE_S = 60.0
REGISTER_S = 30
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
    """Hands each byte on to the worker; returns when that has ended, or was killed."""
    log = block.home() / "worker.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beats, ours = os.pipe()
    worker = os.fork()
    if not worker:
        supervisor.die_with_parent()
        os.setsid()
        os.dup2(beats, 0)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        try:
            asyncio.run(work(json.loads(settings)))
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(1)  # a thread may still wait for a block
    ended = os.pidfd_open(worker)
    while ready := select.select([0, ended], [], [], GONE_S)[0]:
        if ended in ready or not (data := os.read(0, 4096)):
            break
        os.write(ours, data)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    sys.stderr.buffer.write(log.read_bytes()[-1000:])


async def work(settings: dict[str, Any]) -> None:
    """The worker; it ends with the connection to its scheduler."""
    import dask
    from distributed import Security, Worker

    dask.config.set(SETTINGS)
    async with Worker(
        settings["scheduler"],
        nthreads=1,
        resources=settings["resources"],
        host="127.0.0.1",
        contact_address=settings["contact"],
        protocol="tls",
        security=Security(require_encryption=True, **settings["identity"]),
        memory_limit=0,
        local_directory=str(block.home() / "dask"),
        death_timeout=REGISTER_S,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
    ) as worker:
        port = worker.listen_address.rpartition(":")[2]  # its address is the one of the controller
        os.write(1, f"{port}\n".encode())
        asyncio.get_running_loop().add_reader(0, lambda: os.write(1, os.read(0, 4096)))
        await worker.finished()


if __name__ == "__main__":
    os.umask(0o077)
    attend(sys.stdin.buffer.readline())
