# SPDX-License-Identifier: GPL-2.0-only
"""Where Dask workers come from: hosts over SSH, jobs of a batch system, or somebody else.

The scheduler of the first two lives and ends with us. What is said here of a host is that a worker
on it declares: its name, memory, cores, and words that an experiment can choose by.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import dask
from distributed import Client, Scheduler, Security, SpecCluster
from distributed.deploy.spec import ProcessInterface

from harness.errors import Failure, RemoteError, UserError
from harness.hosts import bootstrap
from harness.hosts.block import home
from harness.hosts.inventory import Batch, Host, Inventory
from harness.model import Accel
from harness.ssh import Connection, KnownHosts, Program, SSHTimeouts

log = logging.getLogger(__name__)
Failed = Callable[[str, str], None]
"""Is told of each time that a host has no worker: its name, and why."""
Resources = dict[str, float]

CONNECT_S = 30
BEAT_S, LOOK_S = 5.0, 0.5
STOP_S = 5
SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # the ledger has each attempt, so we try again
    "distributed.scheduler.worker-ttl": "60s",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.http.routes": [],
}

# What goes wrong with a host is said by those who look after it.
logging.getLogger("distributed").setLevel(logging.CRITICAL)


class Source(Protocol):
    """Where workers come from."""

    @property
    def inventory(self) -> Inventory | None:
        """All hosts that there may be, where anybody knows."""

    def connect(self, names: Collection[str], failed: Failed) -> Any:
        """A client of the scheduler, as an asynchronous context manager."""

    async def tend(self) -> None:
        """Replaces what has ended; asked again and again."""

    async def drop(self, name: str) -> None:
        """A host gets no more blocks, and needs no worker."""


def declare(name: str, memory: int, cores: int, accel: Accel, labels: Collection[str]) -> Resources:
    """What the worker of a host declares: blocks take all of `host`, and need some of the rest."""
    found: Resources = {"host": 1, "memory": memory, "cores": cores, f"host:{name}": 1}
    found |= {f"label:{label}": 1 for label in labels}
    return found | ({"kvm": 1} if accel == "kvm" else {})


def host_of(worker: Mapping[str, Any]) -> str:
    """The name of the host that a worker is on, as its scheduler knows the worker."""
    named = [key[5:] for key in worker["resources"] if key.startswith("host:")]
    return named[0] if named else str(worker["name"])


@dataclass
class SSHHosts:
    """The hosts of an inventory."""

    inventory: Inventory
    known: KnownHosts
    timeouts: SSHTimeouts = field(default_factory=SSHTimeouts)
    pause_s: float = 4.0
    """between two tries to get a worker"""
    _workers: dict[str, SSHWorker] = field(default_factory=dict)

    @asynccontextmanager
    async def connect(self, names: Collection[str], failed: Failed) -> AsyncIterator[Client]:
        security = Security.temporary()
        loop = asyncio.get_running_loop()
        tell = lambda name, why: loop.call_soon_threadsafe(failed, name, why)  # noqa: E731
        words = {"source": self, "security": security, "failed": tell}
        workers = {n: {"cls": SSHWorker, "options": {**words, "host": n}} for n in names}
        # They look after themselves, and come back.
        settings = SETTINGS | {"distributed.deploy.lost-worker-timeout": "1000 days"}
        with dask.config.set(settings):
            scheduler = {"cls": Scheduler, "options": scheduler_options(security)}
            async with (
                SpecCluster(workers, scheduler, security=security, asynchronous=True) as cluster,
                Client(cluster, asynchronous=True, set_as_default=False) as client,
            ):
                self._workers = {name: cluster.workers[name] for name in names}
                yield client

    async def tend(self) -> None:
        """Each of them is a thread that does."""

    async def drop(self, name: str) -> None:
        await self._workers[name].close()


def scheduler_options(security: Security) -> dict[str, object]:
    """One port, on the loopback interface, and no page."""
    return {
        "host": "127.0.0.1",
        "port": 0,
        "protocol": "tls",
        "security": security,
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
    }


class SSHWorker(ProcessInterface):
    """A worker that is kept on one host, over one connection that is made again when it breaks.

    Port 22 alone is used: the SSH server forwards a port there to our scheduler, and carries what
    the scheduler has to say. The worker ends with the connection; what it has begun does not.
    """

    def __init__(
        self,
        scheduler: str,
        *,
        source: SSHHosts,
        security: Security,
        failed: Failed,
        host: str,
        name: str,
    ) -> None:
        super().__init__(scheduler=scheduler, name=name)  # type: ignore[no-untyped-call]
        self._port = int(scheduler.rpartition(":")[2])
        self._source, self._security, self._failed = source, security, failed
        self._host = host
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    async def start(self) -> None:
        """Returns at once: a host that is silent holds up none but itself."""
        self._thread.start()
        await super().start()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Ends the worker."""
        self._stopped.set()
        end = time.monotonic() + STOP_S
        while self._thread.is_alive() and time.monotonic() < end:
            await asyncio.sleep(0.05)
        await super().close()  # type: ignore[no-untyped-call]

    def _keep(self) -> None:
        while not self._stopped.is_set():
            try:
                self._hold()
            except RemoteError as error:
                why = error.what
            except Exception as error:  # of one host: it must not take the others along
                why = f"{type(error).__name__}: {error}"[:200]
            else:
                return
            if not self._stopped.is_set():
                self._failed(self._host, why)
            self._stopped.wait(self._source.pause_s)

    def _hold(self) -> None:
        """Until the connection breaks, or the worker ends: both are errors."""
        source, host = self._source, self._source.inventory.hosts[self._host]
        endpoint = source.inventory.endpoint(self._host)
        with (
            Connection(endpoint, source.known, source.timeouts) as connection,
            socket.create_server(("127.0.0.1", 0)) as server,
        ):
            words = bootstrap.install(connection, host)
            scheduler = connection.publish(self._port)
            with connection.start([*words, "harness.hosts.worker"]) as program:
                settings = self._settings(host, scheduler, server.getsockname()[1])
                program.say(json.dumps(settings).encode() + b"\n", source.timeouts.command_s)
                connection.forward(server, _port_of(program))
                self._beat(program, source.timeouts.command_s)

    def _settings(self, host: Host, scheduler: int, contact: int) -> dict[str, object]:
        tls = self._security.get_tls_config_for_role("worker")
        names = {"ca_file": "tls_ca_file", "cert": "tls_worker_cert", "key": "tls_worker_key"}
        return {
            "scheduler": f"tls://127.0.0.1:{scheduler}",
            "contact": f"tls://127.0.0.1:{contact}",
            "resources": declare(self._host, host.memory, host.cores, host.accel, host.labels),
            "identity": {word: tls[name] for name, word in names.items()},
        }

    def _beat(self, program: Program, limit_s: float) -> None:
        """Shows the worker that we are there, and wants to hear the same of it."""
        heard = time.monotonic()
        while not self._stopped.is_set():
            program.say(b".", limit_s)
            beat = time.monotonic() + min(BEAT_S, limit_s / 3)
            while time.monotonic() < beat and not self._stopped.is_set():
                said = program.hear(LOOK_S)
                if said == b"":
                    raise _ended(program)
                if said:
                    heard = time.monotonic()
                if time.monotonic() > heard + limit_s:
                    raise RemoteError(Failure.SILENT, "its Dask worker is silent")


def _port_of(program: Program) -> int:
    """The first line that a worker says."""
    said, end = b"", time.monotonic() + CONNECT_S
    while not said.endswith(b"\n"):
        more = program.hear(max(0.1, end - time.monotonic()))
        if more == b"":
            raise _ended(program)
        if more is None or len(said) > 100:
            raise RemoteError(Failure.SILENT, "its Dask worker does not begin")
        said += more
    if not said.strip().isdigit() or not 0 < int(said) < 65536:
        raise RemoteError(Failure.BAD_ANSWER, "its Dask worker does not say its port")
    return int(said)


def _ended(program: Program) -> RemoteError:
    words = program.end().complaint
    return RemoteError(Failure.CLOSED, "its Dask worker ended" + (f": {words}" if words else ""))


@dataclass
class Jobs:
    """Nodes that a batch system shares out, a worker on each."""

    batch: Batch
    inventory: None = None
    poll_s: float = 5.0
    longest_poll_s: float = 300.0
    _cluster: Any = None
    _wait: float = 0
    _next: float = 0

    @asynccontextmanager
    async def connect(self, names: Collection[str], failed: Failed) -> AsyncIterator[Client]:
        home().mkdir(mode=0o700, parents=True, exist_ok=True)
        with dask.config.set(SETTINGS | {"distributed.deploy.lost-worker-timeout": "1s"}):
            async with (
                self._make() as self._cluster,
                Client(self._cluster, asynchronous=True, set_as_default=False) as client,
            ):
                yield client

    def _make(self) -> SpecCluster:
        batch = self.batch
        kind = getattr(_jobqueue(), batch.cluster, None)
        if kind is None:
            raise UserError(f"cluster: dask-jobqueue has no {batch.cluster}", where=batch.name)

        class Job(kind.job_cls):  # type: ignore[misc,name-defined]
            """One that says why it was refused, and then counts as one that has ended."""

            async def start(self) -> None:
                try:
                    await super().start()
                except RuntimeError as error:
                    log.warning(str(error).rpartition("stderr:")[2].strip())
                    self.job_id = "refused"
                    await ProcessInterface.start(self)

        try:
            cluster: SpecCluster = kind(job_cls=Job, asynchronous=True, **self.words())
        except (TypeError, ValueError) as error:
            raise UserError(f"options: {error}", where=batch.name) from None
        return cluster

    def words(self) -> dict[str, Any]:
        """What the class is told, where the file says nothing else."""
        batch = self.batch
        lent = declare(batch.host, batch.memory, batch.cores, batch.accel, batch.labels)
        words = " ".join(f"{key}={value:.0f}" for key, value in lent.items())
        more = [f'--resources "{words}"', "--no-dashboard"]
        options = batch.options
        return {
            "security": True,
            "shared_temp_directory": str(home()),
            # In place of the shell of the job, so that signals reach it.
            "python": f"exec {shlex.join([sys.executable, '-m', 'harness.hosts.job'])}",
            # One thread: a host boots one block at a time.
            "cores": 1,
            "processes": 1,
            "nanny": False,
            "memory": "1GiB",
            "death_timeout": 60,
            "local_directory": "/tmp",
            "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
            **options,
            "worker_extra_args": [*more, *options.get("worker_extra_args", [])],
        }

    async def tend(self) -> None:
        """Has as many jobs as are wanted; more and more slowly where they end, or are refused."""
        if time.monotonic() < self._next:
            return
        ended = await self._forget_ended()
        self._wait = min(2 * self._wait, self.longest_poll_s) if ended else self.poll_s
        self._next = time.monotonic() + self._wait
        self._cluster.scale(jobs=self.batch.jobs)

    async def _forget_ended(self) -> bool:
        """Drops jobs that the batch system no longer has, so that others take their place."""
        if not self.batch.alive:
            return False
        known = {name: str(job.job_id) for name, job in self._cluster.workers.items() if job.job_id}
        pipe = asyncio.subprocess.PIPE
        asked = await asyncio.create_subprocess_exec(*shlex.split(self.batch.alive), stdout=pipe)
        said = (await asked.communicate())[0].decode("utf-8", "replace").split()
        if asked.returncode:
            return False  # it says nothing while its controller is away
        ended = [name for name, job in known.items() if job not in said]
        for name in ended:
            log.info(f"job has ended: {known[name]}")
            self._cluster.workers.pop(name, None)
            self._cluster.worker_spec.pop(name, None)
        return bool(ended)

    async def drop(self, name: str) -> None:
        """Another job may come to another node."""


@dataclass(frozen=True)
class SchedulerFile:
    """Workers of a cluster that somebody else runs."""

    file: Path
    inventory: None = None

    @asynccontextmanager
    async def connect(self, names: Collection[str], failed: Failed) -> AsyncIterator[Client]:
        file = str(self.file)
        try:
            client = await Client(
                scheduler_file=file, asynchronous=True, timeout=CONNECT_S, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise UserError(f"no scheduler answers: {error}", where=file) from None
        async with client:
            yield client

    async def tend(self) -> None:
        """That is done by who runs it."""

    async def drop(self, name: str) -> None:
        """The same."""


def _jobqueue() -> ModuleType:
    """dask-jobqueue, which takes Ctrl-C for itself as it is imported (0.9.0): here it must not.

    Nor could it in a thread, where nobody may set a handler.
    """
    real = signal.signal
    signal.signal = lambda *_: None
    try:
        import dask_jobqueue
    finally:
        signal.signal = real
    return dask_jobqueue
