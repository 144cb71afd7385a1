# SPDX-License-Identifier: GPL-2.0-only
"""What a host can do to us through Dask: attacks over real connections, with and without the guard.

Each is shown to work against a scheduler that reads messages as Dask does.
"""

import asyncio
import pickle
import ssl
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from distributed import Security, wait
from distributed.comm import connect
from distributed.comm.registry import backends
from distributed.comm.tcp import TLSBackend
from distributed.protocol import Serialize, ToPickle

from harness.hosts.scheduler import SCHEME, GuardedBackend, open_gate


class Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


class Host:
    """A worker that does as it likes; it has the certificate, as every host has."""

    def __init__(self, gate):
        self.gate, self.address = gate, f"tls://127.0.0.1:{gate.port}"
        security = Security(require_encryption=True, **gate.identity)
        self.words = security.get_connection_args("worker")

    async def say(self, *messages, **words):
        """Sends and waits for an answer, or for the end of the connection."""
        comm = await connect(self.address, **self.words)
        for message in messages:
            await comm.write(message)
        try:
            return await asyncio.wait_for(comm.read(), 2)
        except (OSError, TimeoutError):
            return None
        finally:
            comm.abort()

    async def register(self):
        comm = await connect(self.address, **self.words)
        words = {"address": "tls://127.9.9.9:9", "status": "running", "nthreads": 1, "pid": 1}
        words |= {"name": "evil", "now": time.time(), "resources": {}, "memory_limit": 0}
        words |= {"services": {}, "local_directory": "", "nanny": "", "versions": {}, "extra": {}}
        bandwidth = {"total": 1, "workers": {}, "types": {}}
        metrics = {"bandwidth": bandwidth, "memory": 0, "managed_bytes": 0, "cpu": 0}
        metrics |= {"spilled_bytes": {"memory": 0, "disk": 0}, "digests_total_since_heartbeat": {}}
        metrics |= {"task_counts": {}, "event_loop_interval": 1}
        words |= {"metrics": metrics, "server_id": "x", "stimulus_id": "x", "reply": False}
        await comm.write({"op": "register-worker", **words})
        answer = await comm.read()
        assert answer["status"] == "OK", answer
        return comm


async def ask(host, mark, **message):
    await host.say(message)


async def pickled(host, mark):
    await host.say({"op": "heartbeat_worker", "address": ToPickle(Evil(mark))})


async def run_function(host, mark):
    function = pickle.dumps(Path.touch)
    await host.say({"op": "run_function", "function": function, "args": pickle.dumps((mark,))})


async def plugin(host, mark):
    words = {"plugin": pickle.dumps(Evil(mark)), "name": "x", "idempotent": False}
    await host.say({"op": "register_scheduler_plugin", **words})


async def answer(host, words):
    """Gets a task, and says what has become of it."""
    comm = await host.register()
    future = host.gate.client.submit(time.sleep, 0, pure=False)
    while True:
        for message in await asyncio.wait_for(comm.read(), 5):
            if isinstance(message, dict) and message.get("op") == "compute-task":
                said = {"key": message["key"], "run_id": message["run_id"], "thread": 1, **words}
                await comm.write([said | {"stimulus_id": "x", "startstops": [], "metadata": {}}])
                await asyncio.wait([asyncio.ensure_future(wait([future]))], timeout=2)
                if future.status == "error":
                    await future.exception()
                comm.abort()
                return


async def type_of_a_result(host, mark):
    kind = {"type": pickle.dumps(Evil(mark)), "typename": "x", "nbytes": 1}
    await answer(host, {"op": "task-finished", **kind})


async def exception(host, mark):
    error = Serialize(Evil(mark))
    words = {"exception": error, "traceback": None, "exception_text": "", "traceback_text": ""}
    await answer(host, {"op": "task-erred", **words})


async def warning(host, mark):
    comm = await host.register()
    message = {"message": "x", "category": pickle.dumps(Evil(mark))}
    await comm.write([{"op": "log-event", "topic": "warn", "msg": message}])
    await asyncio.sleep(0.5)
    comm.abort()


ATTACKS = [pickled, run_function, plugin, type_of_a_result, exception, warning]


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "as-dask-does"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda f: f.__name__)
def test_no_message_of_a_host_becomes_code(attack, guarded, tmp_path, monkeypatch):
    monkeypatch.setitem(backends, SCHEME, GuardedBackend() if guarded else TLSBackend())
    mark = tmp_path / "made"

    async def run():
        async with open_gate(tmp_path) as gate:
            await attack(Host(gate), mark)
            await asyncio.sleep(0.2)

    asyncio.run(run())
    assert mark.exists() is not guarded


@pytest.mark.parametrize(
    ("op", "words"),
    [
        ("register-client", {"client": "evil", "versions": {}, "reply": False}),
        ("terminate", {}),
        ("broadcast", {"msg": {"op": "terminate"}}),
        ("identity", {}),
    ],
)
def test_a_host_may_only_say_what_a_worker_says(op, words, tmp_path):
    """It cannot give work to other hosts, nor end the scheduler."""

    async def run():
        async with open_gate(tmp_path) as gate:
            clients = len(gate.scheduler.clients)
            assert await Host(gate).say({"op": op, **words}) is None
            assert len(gate.scheduler.clients) == clients
            assert gate.scheduler.status.name == "running"

    asyncio.run(run())


def test_a_message_without_end_is_not_waited_for(tmp_path):
    async def run():
        async with open_gate(tmp_path) as gate:
            host = Host(gate)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", gate.port, ssl=host.words["ssl_context"]
            )
            writer.write(struct.pack("Q", 1 << 40) + bytes(100))
            end = asyncio.wait_for(reader.read(), 5)
            assert len(await end) < 1000  # its greeting, and the end

    asyncio.run(run())


def test_who_has_no_certificate_of_this_start_is_refused(tmp_path):
    """Another user of either machine can reach the port, and no more."""

    async def run():
        async with open_gate(tmp_path) as gate:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with pytest.raises(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", gate.port, ssl=context)
                writer.write(bytes(100))
                for _ in range(50):
                    await asyncio.sleep(0.02)
                    await writer.drain()
            other = Security.temporary().get_connection_args("worker")
            with pytest.raises(OSError):
                await connect(f"tls://127.0.0.1:{gate.port}", timeout=2, **other)

    asyncio.run(run())


def open_files():
    """Numbers of the files that this process has open; the one that lists them has gone."""
    found = [path.name for path in Path("/proc/self/fd").iterdir()]
    return [name for name in found if Path(f"/proc/self/fd/{name}").is_symlink()]


def test_nothing_of_it_is_open_to_the_network(tmp_path):
    """It listens on the loopback interface, on one port."""

    async def run():
        async with open_gate(tmp_path) as gate:
            links = [str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in open_files()]
            inodes = {link[8:-1] for link in links if link.startswith("socket:")}
            lines = [
                line.split()
                for name in ("tcp", "tcp6")
                for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
            ]
            mine = [line[1] for line in lines if line[3] == "0A" and line[9] in inodes]
            assert mine == [f"0100007F:{gate.port:04X}"]

    asyncio.run(run())


def test_the_scheduler_is_not_loaded_without_need():
    code = "import sys, harness.cli.hosts; print('distributed' in sys.modules)"
    argv = [sys.executable, "-c", code]
    assert subprocess.run(argv, capture_output=True, text=True).stdout.strip() == "False"
