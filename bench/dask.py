# SPDX-License-Identifier: GPL-2.0-only
"""The same simulated fleet under Dask: real workers, all in one process beside the controller.

They get real tasks through a real scheduler, with TLS; only the way there and back is left out.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figure import Figure
from bench.fleet import HOSTS, answer, host, make_session
from bench.setting import Setting
from harness.hosts import attendant
from harness.hosts.dispatch import Dispatch, Workers
from harness.hosts.inventory import Host
from harness.hosts.outpost import address, declared
from harness.hosts.roster import Attempt, Patience
from harness.model.run import Run
from harness.results.folder import Results
from harness.results.ledger import Fate, Ledger
from harness.run import loop
from harness.run.local import Job
from harness.ssh.connection import Link

if TYPE_CHECKING:
    from harness.hosts.lease import Lease
    from harness.hosts.scheduler import Gate

BLOCKS = 2_000
HOST = Host.parse(host(), "host")


def measure(setting: Setting) -> Iterator[Figure]:
    """In a process of its own: its memory is the controller's alone."""
    if not find_spec("distributed"):
        yield Figure("dask", "ms", note="distributed (Dask) is not installed")
        return
    setting.log(f"dask: {BLOCKS} blocks of two boots on {HOSTS} simulated hosts")
    argv = [sys.executable, "-m", "bench.dask", str(setting.project.root), str(setting.scratch)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    took, memory = json.loads(done.stdout.splitlines()[-1])
    note = f"{HOSTS} Dask workers on this machine, too"
    yield Figure(
        f"dask: overhead of a block, of {BLOCKS}", "ms", (1000 * took / BLOCKS,), note=note
    )
    yield Figure("dask: memory of the controller at most", "MiB", (memory,))


@dataclass
class Simulated:
    """The executor, with the time that it took once all workers were there."""

    folder: Path
    took: float = 0

    async def execute(self, job: Job) -> None:
        """As that for real hosts."""
        from harness.hosts.scheduler import open_gate

        async with open_gate(self.folder) as gate:
            settings = [_settings(gate, number) for number in range(HOSTS)]
            argv = [sys.executable, "-m", "bench.dask", "work"]
            with subprocess.Popen(
                argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as workers:
                assert workers.stdin
                workers.stdin.write(json.dumps(settings).encode())
                workers.stdin.close()
                while len(gate.workers()) < HOSTS:
                    await asyncio.sleep(0.1)
                start = time.monotonic()
                dispatch = Answering(gate.client, Still(gate), job, Patience(), lambda text: None)
                await dispatch.run()
                self.took = time.monotonic() - start
                dispatch.stop()
                workers.kill()


class Answering(Dispatch):
    """Every block is done as soon as it is somewhere."""

    async def _carry(self, attempt: Attempt, lease: Lease) -> list[Run]:
        return answer(self._job, attempt)


@dataclass(frozen=True)
class Still:
    """Hosts that are there all the time."""

    gate: Gate

    async def workers(self) -> Workers:
        return self.gate.workers()

    def expected(self) -> None:
        return None

    def lender(self, name: str) -> Host:
        return HOST

    def link(self, name: str) -> AbstractContextManager[Link]:
        raise NotImplementedError

    async def drop(self, name: str) -> None:
        raise NotImplementedError


def _settings(gate: Gate, number: int) -> dict[str, object]:
    return {
        "scheduler": f"tls://127.0.0.1:{gate.port}",
        "identity": gate.identity,
        "name": f"h{number}",
        "resources": declared(f"h{number}", HOST),
        "listen": f"tls://{address(number)}",
    }


async def _work() -> None:
    await asyncio.gather(*map(attendant.work, json.load(sys.stdin)))


def _control(root: Path, scratch: Path) -> None:
    from harness.project import Project, cache_folder

    project = Project.find(root, cache_folder({"PAGEINIT_CACHE": str(scratch / "cache")}))
    session = make_session(Setting(project, scratch, print, False, None), BLOCKS)
    results, executor = Results(scratch / "dask"), Simulated(scratch)
    with results.locked():
        loop.run(session, results, loop.RunOptions(results.path), lambda event: None, executor)
    fates = [entry.fate for entry in Ledger(results.path).read()[0] if entry.fate]
    assert fates == [Fate.DONE] * BLOCKS
    print(json.dumps([executor.took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        asyncio.run(_work())
    else:
        _control(Path(sys.argv[1]), Path(sys.argv[2]))
