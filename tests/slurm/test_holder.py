# SPDX-License-Identifier: GPL-2.0-only
"""`tools/slurm` on a Slurm of our own: what its jobs ask for, and what becomes of them."""

import asyncio
import os
import signal
import time

import pytest

from harness.units import GIB
from tests.support.slurm import running, until

distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.slurm


def credentials(holder):
    cert, key = (str(holder.folder / "tls" / name) for name in ("cert.pem", "key.pem"))
    return distributed.Security(tls_ca_file=cert, tls_client_cert=cert, tls_client_key=key)


@pytest.fixture
def client(holder):
    """Connected as soon as two nodes have a worker."""
    holder.hold()
    until(holder.file.is_file)
    file, security = str(holder.file), credentials(holder)
    with distributed.Client(scheduler_file=file, security=security, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)
        yield client


def node():
    return os.environ["SLURMD_NODENAME"]


def test_each_node_lends_itself_to_one_block_at_a_time(slurm, client):
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    lent = {n: {"memory": 4.0 * GIB, "cores": 2.0, f"host:{n}": 1.0} for n in slurm.nodes}
    assert {w["name"]: w["resources"] for w in workers} == lent
    assert {w["nthreads"] for w in workers} == {1}
    assert slurm.jobs("%N %m %l %h") == ["n1 5G 10:00 NO", "n2 5G 10:00 NO"]
    for name in slurm.nodes:
        assert client.submit(node, resources={f"host:{name}": 1}, pure=False).result(10) == name


def test_another_job_takes_the_place_of_one_that_was_cancelled(slurm, client):
    first = running(slurm)
    future = client.submit(time.sleep, 60, resources={"host:n1": 1})
    until(lambda: any(client.processing().values()))
    slurm.ask("scancel", first["n1"])
    with pytest.raises(distributed.KilledWorker):
        future.result(30)
    until(lambda: len(running(slurm)) == 2)
    second = running(slurm)
    assert second["n1"] != first["n1"] and second["n2"] == first["n2"]
    assert client.submit(node, resources={"host:n1": 1}, pure=False).result(30) == "n1"


def test_a_job_that_was_cancelled_while_it_waited_is_asked_for_again(slurm, holder):
    slurm.ask("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
    holder.hold()
    until(lambda: len(slurm.jobs()) == 2 and running(slurm))
    (waits,) = set(slurm.jobs()) - set(running(slurm).values())
    slurm.ask("scancel", waits)
    until(lambda: len(slurm.jobs()) == 2 and waits not in slurm.jobs())
    slurm.ask("scontrol", "update", "nodename=n2", "state=resume")
    until(lambda: set(running(slurm)) == {"n1", "n2"})


def test_a_job_that_was_refused_is_asked_for_again_and_the_reason_said(slurm, holder):
    slurm.ask("scontrol", "update", "partitionname=lab", "state=inactive")
    holder.hold()
    until(lambda: "sbatch: error" in holder.log.read_text())
    slurm.ask("scontrol", "update", "partitionname=lab", "state=up")
    until(lambda: set(running(slurm)) == {"n1", "n2"})
    assert "Traceback" not in holder.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_takes_its_jobs_with_it(slurm, holder, client, number):
    assert holder.end(number) == (-number if number == signal.SIGKILL else 0)
    until(lambda: not slurm.jobs(), 90)
    until(lambda: not slurm.processes("distributed.cli.dask_worker"))
    assert holder.file.exists() == (number == signal.SIGKILL)


def test_a_controller_that_is_away_for_a_while(slurm, holder, client):
    """Jobs go on, and are the same ones afterwards."""
    first = running(slurm)
    with slurm.without_controller():
        until(lambda: "Unable to contact slurm controller" in holder.log.read_text())
    assert client.submit(node, resources={"host:n2": 1}, pure=False).result(10) == "n2"
    until(lambda: running(slurm) == first)
    assert "job has ended" not in holder.log.read_text()


def test_nobody_else_is_let_in(holder, client):
    tls = holder.folder / "tls"
    assert [path.stat().st_mode & 0o77 for path in (tls, tls / "key.pem")] == [0, 0]
    address = client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")

    async def knock(address, security):
        args = security.get_connection_args("client")
        comm = await distributed.comm.connect(address, timeout=2, **args)
        await comm.close()

    asyncio.run(knock(address, credentials(holder)))
    with pytest.raises(OSError):
        asyncio.run(knock(address, distributed.Security.temporary()))
    with pytest.raises(OSError):
        asyncio.run(knock(address.replace("tls", "tcp"), distributed.Security()))
