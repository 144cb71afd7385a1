# SPDX-License-Identifier: GPL-2.0-only
"""The scheduler of our own: who can reach it; and what workers of a batch system declare."""

import asyncio
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("distributed")

import dask
from distributed import Scheduler, Security
from distributed.comm import connect

from harness.errors import RemoteError, UserError
from harness.hosts import cluster
from harness.hosts.cluster import Jobs
from harness.hosts.inventory import Batch
from tests.support.programs import Says

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def scheduler():
    with dask.config.set(cluster.SETTINGS):
        async with Scheduler(**cluster.scheduler_options(Security.temporary())) as found:
            yield found


def listening():
    """Addresses and ports, in hex, that this process listens on."""
    found = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    links = [str(path.readlink()) for path in found if path.is_symlink()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:")}
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {line[1] for line in lines if line[3] == "0A" and line[9] in inodes}


def test_who_has_no_certificate_of_this_start_is_refused():
    """Another user of either machine can reach the port, and no more."""

    async def run():
        async with scheduler() as found:
            port = int(found.address.rpartition(":")[2])
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with pytest.raises(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
                writer.write(bytes(100))
                for _ in range(50):
                    await asyncio.sleep(0.02)
                    await writer.drain()
            other = Security.temporary().get_connection_args("worker")
            with pytest.raises(OSError):
                await connect(f"tls://127.0.0.1:{port}", timeout=2, **other)
            with pytest.raises(OSError):
                await connect(f"tcp://127.0.0.1:{port}", timeout=2)

    asyncio.run(run())


def test_nothing_of_it_is_open_to_the_network():
    """It listens on the loopback interface, and has no page."""
    before = listening()

    async def run():
        async with scheduler() as found:
            ours = listening() - before
            assert ours and all(address.startswith("0100007F:") for address in ours)
            page = f"http://127.0.0.1:{found.http_server.port}"
            for path in ("", "/status", "/info/main/workers.html", "/json/counts.json", "/metrics"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    await asyncio.to_thread(urllib.request.urlopen, page + path)

    asyncio.run(run())


def test_dask_is_not_loaded_without_need():
    code = "import sys, harness.cli.setup.hosts; print('distributed' in sys.modules)"
    argv = [sys.executable, "-c", code]
    assert subprocess.run(argv, capture_output=True, text=True).stdout.strip() == "False"


def batch(**keys):
    data = {"name": "slurm", "cluster": "SLURMCluster", "jobs": 2, "memory": "4GiB", "cores": 8}
    return Batch.parse(data | keys, "slurm.yaml")


def test_a_job_declares_what_its_node_lends():
    words = Jobs(batch(host="$NODE", accel="kvm", labels=["milan"])).words()
    declared = words["worker_extra_args"][0]
    assert declared == (
        '--resources "host=1 memory=4294967296 cores=8 host:$NODE=1 label:milan=1 kvm=1"'
    )
    assert words["security"] is True and words["processes"] == 1 and not words["nanny"]


def test_what_the_file_says_comes_first():
    words = Jobs(batch(options={"death_timeout": 5, "worker_extra_args": ["--x"]})).words()
    assert words["death_timeout"] == 5 and words["worker_extra_args"][-1] == "--x"


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"cluster": "os.system"}, "cluster"),
        ({"jobs": 0}, "jobs"),
        ({"memory": "none"}, "memory"),
        ({"job": 2}, "unknown key; did you mean 'jobs'"),
    ],
)
def test_a_file_that_is_wrong_is_named(keys, why):
    with pytest.raises(UserError, match=why):
        batch(**keys)


@pytest.mark.parametrize("keys", [{"cluster": "NoCluster"}, {"options": {"nonsense": 1}}])
def test_what_dask_jobqueue_does_not_know_is_named(keys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    ours = signal.getsignal(signal.SIGINT)

    async def run():
        async with Jobs(batch(**keys)).connect((), print):
            pass

    with pytest.raises(UserError, match=r"NoCluster|nonsense"):
        asyncio.run(run())
    assert signal.getsignal(signal.SIGINT) is ours


def test_ctrl_c_stays_ours_in_whatever_thread_dask_jobqueue_is_imported():
    code = """if True:
        import signal, sys, threading
        from harness.hosts.cluster import _jobqueue
        thread = threading.Thread(target=_jobqueue)
        thread.start()
        thread.join()
        assert "dask_jobqueue" in sys.modules
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.signal(signal.SIGINT, signal.SIG_DFL)
    """
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_file_in_tools_is_one():
    found = Batch.load(ROOT / "tools/clusters/slurm.yaml")
    assert found.cluster == "SLURMCluster" and found.alive.startswith("squeue")


def test_a_worker_says_its_port_in_one_line_however_it_comes():
    assert cluster._port_of(Says(b"40", b"404", b"\n")) == 40404


@pytest.mark.parametrize(
    ("said", "silent", "why"),
    [
        ((), False, "its Dask worker ended: sh: 1: python3: not found"),
        ((b"404",), False, "its Dask worker ended"),
        ((b"404",), True, "does not begin"),
        ((b"x" * 101,) * 2, True, "does not begin"),
        ((b"Welcome!\n",), False, "does not say its port"),
        ((b"0\n",), False, "does not say its port"),
        ((b"65536\n",), False, "does not say its port"),
        ((b"\xb2\n",), False, "does not say its port"),
    ],
)
def test_a_worker_that_says_something_else_is_named(said, silent, why):
    with pytest.raises(RemoteError, match=why):
        cluster._port_of(Says(*said, silent=silent))
