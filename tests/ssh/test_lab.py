# SPDX-License-Identifier: GPL-2.0-only
"""The hosts of an inventory under Dask: the faults that it has beside those of either engine."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from harness.errors import HarnessError
from harness.hosts import wheel
from harness.hosts.outpost import address
from harness.hosts.roster import Patience
from harness.results.ledger import Fate, Ledger
from harness.run import loop
from harness.ssh.connection import SSHTimeouts
from tests.ssh.fleet import fleet_folder, running, when
from tests.support.checkout import ROOT
from tests.support.sshd import children

pytest.importorskip("distributed")
pytestmark = pytest.mark.ssh

OURS = (
    *(f"harness.hosts.{name}" for name in ("worker", "attendant", "supervisor")),
    "qemu-system-x86_64",
)


def gone(server):
    """Whether nothing of ours is left on a host, or soon will be."""
    end = time.monotonic() + 10
    while found := [pid for word in OURS for pid in running(server, word)]:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return not found


def fates(fleet):
    return [fate for *_, fate in fleet.ledger]


def kill(pids, how=signal.SIGKILL):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
    return list(pids)


def test_blocks_are_booted_on_hosts_and_come_back(dask):
    servers = [dask.serve(name) for name in ("one", "two")]
    assert dask.run() == 0
    assert dask.counted() == 4
    assert fates(dask) == [Fate.DONE] * 2
    assert {host for _, _, host, _ in dask.ledger} == {"one", "two"}
    assert not list((dask.results.path / "incoming").iterdir())
    for server in servers:
        assert not list((fleet_folder(server) / "blocks").iterdir())
        assert gone(server)


def test_nothing_secret_stays_on_a_host(dask):
    server, seen = dask.serve("one"), []

    def look():
        for path in fleet_folder(server).rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and path.stat().st_size < 100_000:
                    seen.append(b"PRIVATE KEY" in path.read_bytes())

    when(lambda: running(server, "harness.hosts.worker"), look)
    assert dask.run() == 0
    look()
    assert len(seen) > 5 and not any(seen)
    assert not [p for p in fleet_folder(server).rglob("*.log") if p.stat().st_mode & 0o77]


def test_dask_chooses_a_host_that_lends_enough(dask):
    dask.serve("big")
    dask.serve("small")
    dask.lab.hosts["small"]["memory"] = "1MiB"
    assert dask.run() == 0
    assert {host for _, _, host, _ in dask.ledger} == {"big"}


def test_a_host_begins_after_the_ledger_has_it(dask):
    """At the moment that a block is launched, whoever is killed then leaves a trace of it."""
    server, seen = dask.serve("one"), []
    launched = fleet_folder(server) / "blocks"

    def look():
        seen.extend((e.block, e.host) for e in Ledger(dask.results.path).read()[0])

    when(lambda: list(launched.glob("*/launched")), look)
    assert dask.run() == 0
    assert seen[0] == ("small/time/000", "one")


@pytest.mark.parametrize("victim", ["work", "harness.hosts.attendant"])
def test_a_killed_dask_worker_does_not_disturb_its_block(dask, victim):
    """`work` is the worker, its attendant has the other word too; a new worker waits for it."""
    server, killed = dask.serve("one"), []
    blocks = fleet_folder(server) / "blocks"
    when(
        lambda: list(blocks.glob("*/results/runs/*/*/*/*")),
        lambda: killed.extend(kill(running(server, victim))),
    )
    assert dask.run() == 0
    assert killed and dask.counted() == 4 and fates(dask) == [Fate.DONE] * 2
    assert any("its Dask worker ended" in text for text in dask.said)
    assert gone(server)


def test_a_frozen_worker_is_replaced(dask):
    """It is stopped, not killed: its connection stands, and nobody answers."""
    from harness.hosts import scheduler

    server, frozen = dask.serve("one"), []
    blocks = fleet_folder(server) / "blocks"
    ttl = scheduler.SETTINGS["distributed.scheduler.worker-ttl"]
    scheduler.SETTINGS["distributed.scheduler.worker-ttl"] = "3s"
    when(
        lambda: list(blocks.glob("*/results/runs/*/*/*/*")),
        lambda: frozen.extend(kill(running(server, "work"), signal.SIGSTOP)),
    )
    try:
        assert dask.run() == 0
    finally:
        scheduler.SETTINGS["distributed.scheduler.worker-ttl"] = ttl
    assert frozen and dask.counted() == 4 and fates(dask) == [Fate.DONE] * 2
    assert gone(server)


def test_a_host_that_freezes_for_good_loses_its_block_to_another(dask, monkeypatch):
    """All of it stops. The block's deadline passes, and the block is booted elsewhere, once."""
    monkeypatch.setattr(loop, "_longest", lambda session, slot: 1.5)
    dask.patience = Patience(poll_s=0.2, margin_s=8, failures=2, attempts=9)
    dask.limits = SSHTimeouts(connect_s=1, banner_s=1, login_s=2, command_s=2)
    bad, frozen = dask.serve("bad"), []

    def freeze():
        below = children(bad.process.pid) | {bad.process.pid}
        ours = {pid for word in OURS for pid in running(bad, word)}
        frozen.extend(kill(below | ours, signal.SIGSTOP))

    dask.serve("good")
    when(lambda: running(bad, "harness.hosts.worker"), freeze)
    try:
        assert dask.run() == 0
    finally:
        kill(frozen)
    assert frozen and dask.counted() == 4
    assert {host for *_, host, fate in dask.ledger if fate == Fate.DONE} == {"good"}
    assert any(host == "bad" and fate == Fate.FAILED for *_, host, fate in dask.ledger)


def test_a_host_whose_worker_keeps_dying_is_set_aside(dask):
    """It comes up and dies before it has a block, time and again."""
    dask.serve("good")
    bad = dask.serve("bad")
    dask.lab.hosts["bad"]["python"] = str(bad.home / "python")
    python = bad.home / "python"
    python.write_text("#!/bin/sh\nread line\necho 'no luck \033[31mtoday' >&2\nexit 3\n")
    python.chmod(0o755)
    dask.patience = Patience(poll_s=0.2, margin_s=20, failures=2)
    assert dask.run() == 0
    assert dask.counted() == 4
    assert {host for _, _, host, _ in dask.ledger} == {"good"}
    assert [text for text in dask.said if "no luck ?[31mtoday" in text]
    dask.results = loop.open_results(
        dask.session, loop.RunOptions(dask.results.path.parents[1] / "x")
    )
    del dask.lab.hosts["good"]
    with pytest.raises(HarnessError, match="could not be booted anywhere"):
        dask.run()
    assert "bad is set aside: it failed 2 times in a row" in dask.said


def test_a_server_that_forwards_no_port_is_named(dask):
    server = dask.serve("one")
    config = server.folder / "sshd_config"
    config.write_text(config.read_text() + "AllowTcpForwarding no\n")
    server.stop()
    server.start()
    with pytest.raises(HarnessError, match="could not be booted anywhere"):
        dask.run()
    assert any("forwards no port" in text for text in dask.said)
    assert dask.counted() == 0 and gone(server)


def test_no_two_hosts_have_one_address():
    found = [address(number) for number in range(10_000)]
    assert len(set(found)) == 10_000
    assert all(0 < int(part) < 255 or part == "0" for a in found for part in a.split("."))


def test_no_worker_outlives_a_killed_controller(dask):
    server = dask.serve("one", play="hang")
    argv = [sys.executable, "-m", "harness", *dask.words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL) as controller:
        end = time.monotonic() + 60
        while not running(server, "harness.hosts.worker"):
            assert time.monotonic() < end and controller.poll() is None
            time.sleep(0.01)
        controller.kill()
    end = time.monotonic() + 10
    while running(server, "harness.hosts.attendant"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert running(server, "harness.hosts.worker")  # it is not Dask's
    kill(running(server, "harness.hosts.worker"))
    assert gone(server)


def test_a_host_that_got_a_wrong_copy_is_free_for_the_next_attempt(dask):
    """What holds it is a task that waits for a parcel which never comes."""
    server = dask.serve("one")
    assert dask.run() == 0
    files = fleet_folder(server) / "files"
    packed = {p.stem: p for p in (dask.session.project.cache / "fleet").glob("*.zz")}
    name = next(n for n in packed if n != wheel.name() and (files / n).is_file())
    (files / name).unlink()
    (files / f"{name}.zz.part").write_bytes(bytes(packed[name].stat().st_size // 2))
    dask.again()
    assert dask.run() == 0
    assert dask.counted() == 4
    assert fates(dask).count(Fate.FAILED) == 1
