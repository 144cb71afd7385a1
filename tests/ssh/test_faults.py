# SPDX-License-Identifier: GPL-2.0-only
"""Faults, each done for real: after each of them every boot is there once, and the fault named."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cli import main
from harness.hosts.roster import Patience
from harness.results.folder import Results
from harness.results.ledger import Fate, Ledger
from harness.ssh.connection import SSHTimeouts
from tests.ssh.fleet import running, when
from tests.support.checkout import ROOT
from tests.support.sshd import children

pytestmark = pytest.mark.ssh


def fates(fleet):
    return [fate for *_, fate in fleet.ledger]


def test_sessions_that_fall_silent(either):
    """The server's sessions are stopped, not ended: packets come, and nobody answers."""
    server = either.serve("one")
    either.limits = SSHTimeouts(connect_s=3, banner_s=3, login_s=5, command_s=3)
    stopped = []

    def stop():
        workers = running(server, "harness.hosts.worker")
        workers += running(server, "harness.hosts.supervisor")
        for pid in children(server.process.pid) - set(workers):
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)

    when(lambda: running(server, "harness.hosts.worker"), stop)
    try:
        assert either.run() == 0
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGKILL)
    assert stopped and any("tries again" in text for text in either.said)
    assert either.counted() == 4 and fates(either) == [Fate.DONE] * 2


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


def test_a_link_that_is_cut(either, space):
    """Packets get lost both ways for longer than any command may take."""
    server = either.serve("one", space=space)
    either.limits = SSHTimeouts(connect_s=2, banner_s=2, login_s=3, command_s=3)
    cut = []

    def link(state):
        subprocess.run(["ip", "link", "set", "pageinit0", state], check=True)

    def lose():
        link("down")
        cut.append(time.monotonic())
        time.sleep(8)
        link("up")

    thread = when(lambda: running(server, "harness.hosts.worker"), lose)
    assert either.run() == 0
    thread.join(30)
    assert cut and any("tries again" in text for text in either.said), either.said
    assert either.counted() == 4 and fates(either) == [Fate.DONE] * 2


def test_a_host_whose_disk_is_full(either):
    either.serve("good")
    bad = either.serve("bad")
    (bad.home / ".cache").mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(bad.home / ".cache")]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    either.patience = Patience(poll_s=0.2, margin_s=20, failures=1, attempts=9)
    try:
        assert either.run() == 0
    finally:
        subprocess.run(["umount", "--lazy", str(bad.home / ".cache")], check=True)
    assert either.counted() == 4
    assert {host for *_, host, fate in either.ledger if fate == Fate.DONE} == {"good"}
    assert any("bad is set aside" in text for text in either.said)


def test_a_qemu_that_the_host_kills_is_a_row(fleet):
    """The boot is lost, and says so; the block is not."""
    fleet.serve("one", play="killed")
    assert fleet.run() == 4
    assert {stored.run.judgement.outcome for stored in fleet.results.read()[0]} == {"killed"}
    assert fleet.counted() == 4 and fates(fleet) == [Fate.DONE] * 2


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


def test_a_qemu_that_the_oom_killer_ends_is_a_row_that_says_so(either, confined):
    server = either.serve("one", play="greedy")
    (confined / "cgroup.procs").write_text(str(server.process.pid))
    assert either.run() == 4
    runs = [stored.run for stored in either.results.read()[0]]
    assert {run.judgement.outcome for run in runs} == {"killed"}
    assert all(run.ending.detail.startswith("the host's OOM killer, at") for run in runs)
    assert either.counted() == 4 and fates(either) == [Fate.DONE] * 2


def test_two_controllers_of_one_results_folder(fleet, capfd):
    server = fleet.serve("one", play="hang")
    words = ["run", "experiments/pair.yaml", "--hosts", str(fleet.lab.file)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "harness", *words]
    with subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL) as first:
        end = time.monotonic() + 60
        while not running(server, "harness.hosts.worker"):
            assert time.monotonic() < end and first.poll() is None
            time.sleep(0.01)
        assert main(words) == 2
        assert "another harness writes here" in capfd.readouterr().err
        first.kill()
    for pid in running(server, "harness.hosts.worker"):
        os.kill(pid, signal.SIGKILL)


def test_two_controllers_with_the_same_experiment_have_blocks_of_their_own(fleet, tmp_path):
    fleet.serve("one")
    words = ["run", "experiments/pair.yaml", "--hosts", str(fleet.lab.file), "--results"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "harness", *words]
    both = [subprocess.Popen([*argv, str(tmp_path / name)], env=env) for name in ("a", "b")]
    assert [controller.wait(60) for controller in both] == [0, 0]
    for name in ("a", "b"):
        (path,) = (tmp_path / name / "pair").iterdir()
        assert len(Results(path).read()[0]) == 4
        ended = [entry.fate for entry in Ledger(path).read()[0] if entry.fate]
        assert ended == [Fate.DONE] * 2


def test_a_clock_that_is_hours_off_changes_no_order_and_no_duration(fleet):
    """The host's clock is turned back a day, as far as its programs can see."""
    server = fleet.serve("one")
    wrong = server.home / "sitecustomize.py"
    wrong.write_text("import time\n_now = time.time\ntime.time = lambda: _now() - 86400\n")
    config = server.folder / "sshd_config"
    text = config.read_text().replace("SetEnv ", f"SetEnv PYTHONPATH={server.home} ", 1)
    config.write_text(text)
    server.stop()
    server.start()
    assert fleet.run() == 0
    assert fleet.counted() == 4 and fates(fleet) == [Fate.DONE] * 2
    stamps = [e.at_utc for e in Ledger(fleet.results.path).read()[0]]
    assert stamps == sorted(stamps)
    assert all(s.run.ending.wall_s >= 0 for s in fleet.results.read()[0])
