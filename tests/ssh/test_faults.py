# SPDX-License-Identifier: GPL-2.0-only
"""Faults, each done for real: after each of them every boot is there once, and the fault named."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.results.ledger import Fate, Ledger
from harness.run import loop
from harness.ssh import SSHTimeouts
from tests.support import rubbish
from tests.support.hosts import (
    BLOCK,
    OURS,
    QEMU,
    SUPERVISOR,
    WORKER,
    blocks,
    booting,
    gone,
    kill,
    running,
    when,
)
from tests.support.sshd import children

pytestmark = pytest.mark.ssh


def test_a_connection_that_breaks_loses_nothing(hosts):
    """The server and all its sessions are killed while a block runs; then it is there again."""
    server = hosts.serve("one")

    def cut():
        server.stop()
        time.sleep(0.5)
        server.start()

    thread = when(lambda: running(server, BLOCK), cut)
    assert hosts.run() == 0
    thread.join(30)
    assert hosts.counted() == 4
    assert hosts.heard("tries again"), hosts.said
    assert hosts.fates == [Fate.DONE] * 2


@pytest.mark.parametrize("victim", [BLOCK, SUPERVISOR])
def test_a_killed_block_or_supervisor_is_a_failed_attempt_and_leaves_no_qemu(hosts, victim):
    server = hosts.serve("one")
    killed = []
    when(lambda: booting(server), lambda: killed.extend(kill(running(server, victim))))
    assert hosts.run() == 0
    assert killed and hosts.counted() == 4
    assert hosts.fates.count(Fate.FAILED) == 1 and hosts.fates.count(Fate.DONE) == 2
    assert not running(server, QEMU) and not blocks(server)


def endless(hosts):
    """A boot that nothing ends but the deadline of its block."""
    limits = {"silence_s": 99.0, "progress_s": 99.0}
    experiment = hosts.session.experiment
    limits = experiment.limits.model_copy(update=limits)
    experiment = experiment.model_copy(update={"limits": limits})
    lock = hosts.session.lock.model_copy(update={"experiment": experiment})
    hosts.session = replace(hosts.session, experiment=experiment, lock=lock)
    hosts.results = loop.open_results(hosts.session, hosts.options)


def test_a_block_that_outlives_its_deadline_is_killed_and_named(hosts, monkeypatch):
    monkeypatch.setattr(loop, "_longest", lambda session, slot: 0.75)
    endless(hosts)
    server = hosts.serve("one", play="hang")
    hosts.policy = replace(hosts.policy, failures=1)
    with pytest.raises(HarnessError, match="could not be booted anywhere"):
        hosts.run()
    assert hosts.heard("the block deadline")
    assert "one is set aside: it failed 1 times in a row" in hosts.said
    assert list((hosts.results.path / "aside").glob("*/results/runs/*/*/*/*/console.log"))
    assert gone(server)


def test_a_block_has_its_deadline_when_nobody_is_there_to_see(hosts, monkeypatch):
    """The controller and its worker are killed; no QEMU is left after the deadline."""
    text = (Path("qemu-configs/small.yaml")).read_text()
    Path("qemu-configs/small.yaml").write_text(text.replace("deadline_s: 5", "deadline_s: 0.5"))
    monkeypatch.setattr(loop, "LEAVE_S", 0)
    server = hosts.serve("one", play="stubborn")
    with hosts.controller() as controller:
        controller.kill()
    kill(running(server, WORKER))
    assert running(server, SUPERVISOR)
    end = time.monotonic() + 150
    while running(server, SUPERVISOR):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert gone(server)


def test_sessions_that_fall_silent(hosts):
    """The server's sessions are stopped, not ended: packets come, and nobody answers."""
    server = hosts.serve("one")
    hosts.timeouts = SSHTimeouts(connect_s=3, banner_s=3, login_s=5, command_s=3)
    stopped = []

    def stop():
        ours = running(server, BLOCK) + running(server, SUPERVISOR)
        stopped.extend(kill(children(server.process.pid) - set(ours), signal.SIGSTOP))

    when(lambda: running(server, BLOCK), stop)
    try:
        assert hosts.run() == 0
    finally:
        kill(stopped)
    assert stopped and hosts.heard("tries again")
    assert hosts.counted() == 4 and hosts.fates == [Fate.DONE] * 2


@pytest.fixture
def space():
    """A network namespace, a link to it, and how to cut that."""
    if not shutil.which("ip"):
        pytest.skip("no ip here: apt-get install iproute2")
    name = f"pageinit-{os.getpid()}"
    steps = [
        ["ip", "netns", "add", name],
        ["ip", "-n", name, "link", "set", "lo", "up"],
        ["ip", "link", "add", "pageinit0", "type", "veth", "peer", "name", "pageinit1"],
        ["ip", "link", "set", "pageinit1", "netns", name],
        ["ip", "addr", "add", "10.213.77.1/30", "dev", "pageinit0"],
        ["ip", "link", "set", "pageinit0", "up"],
        ["ip", "-n", name, "addr", "add", "10.213.77.2/30", "dev", "pageinit1"],
        ["ip", "-n", name, "link", "set", "pageinit1", "up"],
    ]
    try:
        for argv in steps:
            done = subprocess.run(argv, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no network namespace: {done.stderr.strip()}")
        yield name
    finally:
        subprocess.run(["ip", "link", "del", "pageinit0"], capture_output=True)
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def test_a_link_that_is_cut(hosts, space):
    """Packets get lost both ways for longer than any command may take.

    The host is a network of its own: all that Dask has to say goes through port 22.
    """
    server = hosts.serve("one", space=space)
    hosts.timeouts = SSHTimeouts(connect_s=2, banner_s=2, login_s=3, command_s=3)
    cut = []

    def link(state):
        subprocess.run(["ip", "link", "set", "pageinit0", state], check=True)

    def lose():
        link("down")
        cut.append(time.monotonic())
        time.sleep(8)
        link("up")

    thread = when(lambda: running(server, BLOCK), lose)
    assert hosts.run() == 0
    thread.join(30)
    assert cut and hosts.heard("tries again"), hosts.said
    assert hosts.counted() == 4 and hosts.fates == [Fate.DONE] * 2


def test_a_host_whose_disk_is_full(hosts):
    hosts.serve("good")
    bad = hosts.serve("bad")
    (bad.home / ".cache").mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(bad.home / ".cache")]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    hosts.policy = replace(hosts.policy, failures=1, attempts=9)
    try:
        assert hosts.run() == 0
    finally:
        subprocess.run(["umount", "--lazy", str(bad.home / ".cache")], check=True)
    assert hosts.counted() == 4
    assert {host for *_, host, fate in hosts.ledger if fate == Fate.DONE} == {"good"}
    assert hosts.heard("No space left") or hosts.heard("exit status 1")
    assert hosts.heard("bad is set aside")


def test_a_qemu_that_the_host_kills_is_a_row(hosts):
    """The boot is lost, and says so; the block is not."""
    hosts.serve("one", play="killed")
    assert hosts.run() == 4
    assert {stored.run.judgement.outcome for stored in hosts.results.read()[0]} == {"killed"}
    assert hosts.counted() == 4 and hosts.fates == [Fate.DONE] * 2


@pytest.fixture
def confined():
    """A memory cgroup: of its processes the kernel kills one when they take more than 400 MiB."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    parent, limit = (old, "limit_in_bytes") if old.is_dir() else (new, "max")
    group = parent / f"pageinit-{os.getpid()}"
    try:
        group.mkdir()
        (group / f"memory.{limit}").write_text(str(400 << 20))
    except OSError as error:
        pytest.skip(f"no memory cgroup: {error}")
    yield group
    while left := (group / "cgroup.procs").read_text().split():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                (parent / "cgroup.procs").write_text(pid)
    group.rmdir()


def test_a_qemu_that_the_oom_killer_ends_is_a_row_that_says_so(hosts, confined):
    server = hosts.serve("one", play="greedy")
    (confined / "cgroup.procs").write_text(str(server.process.pid))
    assert hosts.run() == 4
    runs = [stored.run for stored in hosts.results.read()[0]]
    assert {run.judgement.outcome for run in runs} == {"killed"}
    assert all(run.ending.detail.startswith("the host's OOM killer, at") for run in runs)
    assert hosts.counted() == 4 and hosts.fates == [Fate.DONE] * 2


YESTERDAY = """\
import datetime, time
_now, _day = time.time, datetime.timedelta(days=1)
time.time = lambda: _now() - 86400
class Yesterday(datetime.datetime):
    now = classmethod(lambda cls, zone=None: super(Yesterday, cls).now(zone) - _day)
datetime.datetime = Yesterday
"""


def test_a_clock_that_is_hours_off_changes_no_order_and_no_duration(hosts):
    """The host's clock is turned back a day, as far as its programs can see."""
    server = hosts.serve("one")
    wrong, python = server.home / "sitecustomize.py", server.home / "python"
    wrong.write_text(YESTERDAY)
    python.write_text(
        f'#!/bin/sh\nexport PYTHONPATH="$PYTHONPATH:{server.home}"\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    hosts.servers.hosts["one"]["python"] = str(python)
    assert hosts.run() == 0
    assert hosts.counted() == 4 and hosts.fates == [Fate.DONE] * 2
    stamps = [e.at_utc for e in Ledger(hosts.results.path).read()[0]]
    runs = [stored.run for stored in hosts.results.read()[0]]
    assert stamps == sorted(stamps)
    assert all(run.ending.wall_s >= 0 and run.started_utc < stamps[0][:10] for run in runs)


def test_a_killed_dask_worker_does_not_disturb_its_block(hosts):
    """A new worker waits for it."""
    server, killed = hosts.serve("one"), []
    when(lambda: booting(server), lambda: killed.extend(kill(running(server, WORKER))))
    assert hosts.run() == 0
    assert killed and hosts.counted() == 4 and hosts.fates == [Fate.DONE] * 2
    assert hosts.heard("its Dask worker ended")
    assert gone(server)


def test_a_frozen_worker_is_replaced(hosts):
    """It is stopped, not killed: its connection stands, and nobody answers."""
    server, frozen = hosts.serve("one"), []
    hosts.timeouts = SSHTimeouts(connect_s=3, banner_s=3, login_s=5, command_s=3)

    def freeze():
        # Of the two the younger one is Dask's.
        frozen.extend(kill([max(running(server, WORKER))], signal.SIGSTOP))

    when(lambda: booting(server), freeze)
    assert hosts.run() == 0
    assert frozen and hosts.counted() == 4 and hosts.fates == [Fate.DONE] * 2
    assert hosts.heard("its Dask worker is silent")
    assert gone(server)


def test_a_host_that_freezes_for_good_loses_its_block_to_another(hosts, monkeypatch):
    """All of it stops. The block's deadline passes, and the block is booted elsewhere, once."""
    monkeypatch.setattr(loop, "_longest", lambda session, slot: 1.5)
    hosts.policy = replace(hosts.policy, margin_s=8, failures=99, attempts=9)
    hosts.timeouts = SSHTimeouts(connect_s=1, banner_s=1, login_s=2, command_s=2)
    bad, good, frozen = hosts.serve("bad"), hosts.serve("good"), []
    good.stop()  # so that the other one gets the block

    def freeze():
        below = children(bad.process.pid) | {bad.process.pid}
        ours = {pid for word in OURS for pid in running(bad, word)}
        frozen.extend(kill(below | ours, signal.SIGSTOP))

    when(lambda: running(bad, BLOCK), freeze)
    when(lambda: frozen, good.start)
    try:
        assert hosts.run() == 0
    finally:
        kill(frozen)
    assert frozen and hosts.counted() == 4
    assert {host for *_, host, fate in hosts.ledger if fate == Fate.DONE} == {"good"}
    assert any(host == "bad" and fate == Fate.FAILED for *_, host, fate in hosts.ledger)
    assert hosts.heard("has no outcome by the deadline of its block")


def test_a_host_whose_worker_keeps_dying_is_set_aside(hosts):
    """It comes up and dies before it has a block, time and again."""
    hosts.serve("good")
    bad = hosts.serve("bad")
    python = bad.home / "python"
    hosts.servers.hosts["bad"]["python"] = str(python)
    python.write_text("#!/bin/sh\nread line\necho 'no luck \033[31mtoday' >&2\nexit 3\n")
    python.chmod(0o755)
    hosts.policy = replace(hosts.policy, failures=2)
    assert hosts.run() == 0
    assert hosts.counted() == 4
    assert {host for _, _, host, _ in hosts.ledger} == {"good"}
    assert hosts.heard("no luck \N{REPLACEMENT CHARACTER}[31mtoday")
    hosts.again()
    del hosts.servers.hosts["good"]
    with pytest.raises(HarnessError, match="could not be booted anywhere"):
        hosts.run()
    assert "bad is set aside: it failed 2 times in a row" in hosts.said


def test_a_server_that_forwards_no_port_is_named(hosts):
    server = hosts.serve("one")
    hosts.configure(server, "Port ", "AllowTcpForwarding no\nPort ")
    with pytest.raises(HarnessError, match="could not be booted anywhere"):
        hosts.run()
    assert hosts.heard("forwards no port")
    assert hosts.counted() == 0 and gone(server)


RUBBISH = {
    "brackets": "not a run record",
    "outcome": "sends no outcome",
    "bomb": "sends what is no plain file",
    "many": "too many files",
    "symlink": "sends what is no plain file",
    "elsewhere": "damaged results",
    "device": "sends what is no plain file",
    "nothing": "not a run record: No such file",
    "swapped": "is another run",
    "raise": "its task: OSError: ",
    "garbage": "damaged results",
    "none": "no archive",
    "number": "no archive",
    "empty": "damaged results",
}


@pytest.mark.parametrize("what", RUBBISH)
def test_rubbish_is_a_failed_attempt_with_a_name(hosts, what, tmp_path):
    server = hosts.serve("one")
    hosts.words["task"] = rubbish.task(what)
    hosts.policy = replace(hosts.policy, failures=9)
    assert hosts.run() == 0
    assert hosts.counted() == 4
    assert sorted(hosts.fates) == [Fate.DONE] * 2 + [Fate.FAILED] * 2
    details = [e.detail for e in Ledger(hosts.results.path).read()[0] if e.fate == Fate.FAILED]
    assert all(RUBBISH[what] in d and d.isprintable() and len(d) < 400 for d in details), details
    assert not list(tmp_path.rglob("elsewhere")) and (what == "raise" or not blocks(server))


def test_a_host_that_brings_rubbish_costs_the_others_nothing(hosts):
    hosts.serve("bad")
    hosts.serve("good")
    hosts.words["task"] = rubbish.task("brackets", "bad")
    hosts.policy = replace(hosts.policy, attempts=3, failures=3)
    assert hosts.run() == 0
    assert hosts.counted() == 4
    assert {host for *_, host, fate in hosts.ledger if fate == Fate.DONE} == {"good"}
