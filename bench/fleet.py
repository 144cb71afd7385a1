# SPDX-License-Identifier: GPL-2.0-only
"""Many hosts: what a block costs the controller, its memory, and how soon it goes on after a kill.

The hosts are simulated: Dask workers in one process beside the controller, whose tasks answer at
once, with a record for each boot. All else is real: scheduler, TLS, ledger, results folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figure import Figure
from bench.setting import Setting
from harness.guest.initramfs import Initramfs
from harness.hosts import archive, block, supervisor, worker
from harness.model.experiment import Experiment
from harness.model.lockfile import Lockfile
from harness.model.machine import Machine
from harness.model.run import Ending, Environment, Judgement, Outcome, Run
from harness.model.variant import Variant
from harness.results.folder import RUN_FILE, Results, to_json
from harness.results.ledger import Fate, Ledger
from harness.run import loop
from harness.run.session import Session
from harness.units import GIB

if TYPE_CHECKING:
    from distributed import Client, Security

    from harness.hosts.executor import Task

log = logging.getLogger(__name__)

HOSTS = 200
BLOCKS, FULL_BLOCKS = 2_000, 20_000
PROCESS = (sys.executable, "-c", "from bench import fleet; fleet.main()")
NODE = {"cpus": 0, "memory": "1GiB"}
ENVIRONMENT = Environment(
    host="simulated",
    host_cpu="none",
    host_cpus=2,
    host_memory_bytes=1 << 34,
    host_kernel="6",
    qemu_version="7.2.0",
    accel="tcg",
    thp=False,
    harness_version="0",
)


@dataclass(frozen=True)
class Simulated:
    """Workers of so many hosts, in processes that have a home each."""

    scratch: Path
    processes: int = 1
    hosts: int = HOSTS
    inventory: None = None

    @asynccontextmanager
    async def connect(self, names: Collection[str], failed: object) -> AsyncIterator[Client]:
        """As for hosts over SSH, but that their workers are started here."""
        import dask
        from distributed import Client, Scheduler, Security, SpecCluster

        from harness.hosts import cluster

        security = Security.temporary()
        spec = {"cls": Scheduler, "options": cluster.scheduler_options(security)}
        with dask.config.set(cluster.SETTINGS):
            async with (
                SpecCluster({}, spec, security=security, asynchronous=True) as found,
                Client(found, asynchronous=True, set_as_default=False) as client,
            ):
                address = found.scheduler_address
                started = [self._start(address, security, n) for n in range(self.processes)]
                try:
                    while len(found.scheduler.workers) < self.hosts:
                        await asyncio.sleep(0.1)
                    yield client
                finally:
                    for process in started:
                        process.kill()
                        process.wait()

    def _start(self, address: str, security: Security, number: int) -> subprocess.Popen[bytes]:
        tls = security.get_tls_config_for_role("worker")
        names = {"ca_file": "tls_ca_file", "cert": "tls_worker_cert", "key": "tls_worker_key"}
        settings = {
            "scheduler": address,
            "identity": {word: tls[name] for name, word in names.items()},
            "hosts": [f"h{n}" for n in range(number, self.hosts, self.processes)],
        }
        home = self.scratch / f"home-{number}"
        home.mkdir(exist_ok=True)
        process = subprocess.Popen(
            [*PROCESS, "work"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        assert process.stdin
        process.stdin.write(json.dumps(settings).encode())
        process.stdin.close()
        return process

    async def tend(self) -> None:
        """They are there all the time."""

    async def drop(self, name: str) -> None:
        """None of them fails."""


def answer(name: str, text: str) -> bytes:
    """The task: brings what a host would have sent."""
    plan = block.Plan.model_validate_json(text)
    block.await_order(name, (), "")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / supervisor.OUTCOME).write_text('{"cause": "ended", "status": 0}')
        for slot in plan.slots:
            place = folder / "results/runs" / slot.key
            place.mkdir(parents=True)
            run = Run(
                run_id=slot.run_id(plan.hash),
                variant=slot.variant,
                machine=slot.machine,
                clock=slot.clock,
                block=slot.block,
                started_utc="2026-01-01T00:00:00Z",
                environment=ENVIRONMENT,
                ending=Ending(cause="done"),
                judgement=Judgement(outcome=Outcome.OK),
            )
            (place / RUN_FILE).write_text(to_json(run))
        return archive.pack(folder, (supervisor.OUTCOME, "results/runs"))


def measure(setting: Setting) -> Iterator[Figure]:
    """In a process of its own: its memory is the controller's alone."""
    if not find_spec("distributed"):
        yield Figure("fleet", "ms", note="distributed (Dask) is not installed")
        return
    count = FULL_BLOCKS if setting.full else BLOCKS
    log.info(f"fleet: {count} blocks of two boots on {HOSTS} simulated hosts")
    argv = [*PROCESS, "control", str(setting.project.root), str(setting.scratch), str(count)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    took, memory, again = json.loads(done.stdout.splitlines()[-1])
    note = f"{HOSTS} Dask workers on this machine, too"
    yield Figure(f"overhead of a block, of {count}", "ms", (1000 * took / count,), note=note)
    yield Figure("memory of the controller at most", "MiB", (memory,))
    yield Figure("start with nothing left to do", "s", (again,))


def control(root: Path, scratch: Path, count: int) -> None:
    """Boots all of it, and then starts once more."""
    from harness.project import Project, cache_folder

    project = Project.find(root, cache_folder({"PAGEINIT_CACHE": str(scratch / "cache")}))
    session = make_session(Setting(project, scratch, False, None), count)
    results = Results(scratch / "fleet")
    took = boot_all(session, results, Simulated(scratch), answer)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fates = [entry.fate for entry in Ledger(results.path).read()[0] if entry.fate]
    assert fates == [Fate.DONE] * count
    start = time.monotonic()
    boot_all(session, results, Simulated(scratch, hosts=0), answer)
    print(json.dumps([took, memory, time.monotonic() - start]))


class _First(logging.Handler):
    """When the first message came: the first block has begun."""

    at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        self.at = self.at or time.monotonic()


def boot_all(session: Session, results: Results, source: Simulated, task: Task) -> float:
    """What ``harness run --hosts`` does once kernels are built; seconds from the first block on."""
    from harness.hosts.executor import Hosts

    first = _First()
    logging.getLogger("harness").addHandler(first)
    options = loop.RunOptions(results.path)
    with results.locked():
        executor = Hosts(source, task=task)
        assert not loop.run(session, results, options, lambda event: None, executor)
    return time.monotonic() - first.at if first.at else 0.0


async def work() -> None:
    """Workers of many hosts, until they are killed."""
    import dask
    from distributed import Security, Worker

    settings = json.load(sys.stdin)
    dask.config.set(worker.SETTINGS)
    security = Security(require_encryption=True, **settings["identity"])
    async with contextlib.AsyncExitStack() as stack:
        for name in settings["hosts"]:
            lent: dict[str, float] = {"host": 1, "memory": 16 * GIB, "cores": 8, f"host:{name}": 1}
            one = Worker(
                settings["scheduler"],
                nthreads=1,
                resources=lent,
                host="127.0.0.1",
                protocol="tls",
                security=security,
                memory_limit=0,
                dashboard=False,
                dashboard_address="127.0.0.1:0",
            )
            await stack.enter_async_context(one)
        await asyncio.Event().wait()


def make_session(setting: Setting, count: int) -> Session:
    """Two variants without a kernel, on two machines."""
    variants = {
        n: Variant.parse({"name": n, "description": n, "prebuilt": {"path": n}}, n) for n in "ab"
    }
    machines = {
        n: Machine.parse({"name": n, "description": n, "nodes": [NODE], "accel": "tcg"}, n)
        for n in ("m", "n")
    }
    clocks = {"time": {"blocks": count // 2}}
    group = {"variants": ["a", "b"], "machines": ["m", "n"], "clocks": clocks}
    experiment = Experiment.parse(
        {"name": "fleet", "description": "d", "baseline": "a", "matrix": [group]}, "fleet"
    )
    lock = Lockfile(
        experiment=experiment,
        base="",
        variants=variants,
        machines=machines,
        kernels={"a": "none", "b": "none"},
        initramfs_sha256="0",
        environment=ENVIRONMENT,
    )
    (setting.scratch / "none").touch()
    initramfs = Initramfs(setting.scratch / "none", "0")
    return Session(
        project=setting.project,
        experiment=experiment,
        variants=variants,
        machines=machines,
        kernels={"a": "none", "b": "none"},
        initramfs=initramfs,
        environment=ENVIRONMENT,
        lock=lock,
    )


def main() -> None:
    """In a process of its own: its first word says which."""
    word, *words = sys.argv[1:]
    if word == "work":
        asyncio.run(work())
    else:
        control(Path(words[0]), Path(words[1]), int(words[2]))
