# SPDX-License-Identifier: GPL-2.0-only
"""Blocks on Dask workers that somebody else started, and that share our home folder."""

import os
import signal
import subprocess
import sys
import time

import pytest

from harness.cli import main
from harness.hosts.cluster import Cluster
from harness.hosts.roster import Patience
from harness.results.ledger import Fate
from harness.run import loop
from tests.ssh.fleet import when
from tests.support.checkout import ROOT

pytest.importorskip("distributed")
pytestmark = pytest.mark.ssh


class Elsewhere:
    """A scheduler and workers, as their command lines start them."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "scheduler.json"
        self.env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.processes = []
        self._start("scheduler", "--scheduler-file", str(self.file), "--port", "0")
        while not self.file.is_file():
            time.sleep(0.05)

    def work(self, name, *words, before=(), **env):
        argv = ("--scheduler-file", str(self.file), "--name", name, "--nthreads", "1", "--no-nanny")
        return self._start("worker", *argv, *words, before=before, env=env)

    def _start(self, *words, before=(), env=None):
        argv = [*before, sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
        argv += ["--no-dashboard"]
        if words[0] == "worker":
            argv += ["--local-directory", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(argv, env=self.env | (env or {}), stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def elsewhere(fleet, tmp_path):
    (tmp_path / "dask").mkdir()
    cluster = Elsewhere(tmp_path / "dask")
    yield cluster
    cluster.stop()


def run(fleet, elsewhere, **patience):
    executor = Cluster(elsewhere.file, fleet.said.append, Patience(poll_s=0.2, **patience))
    try:
        return loop.run(fleet.session, fleet.results, fleet.options, lambda e: None, executor)
    finally:
        print(*fleet.said, (elsewhere.folder / "log").read_text(), sep="\n")


def test_workers_of_somebody_else_boot_blocks(fleet, elsewhere):
    for name in ("one", "two"):
        elsewhere.work(name)
    assert run(fleet, elsewhere) == 0
    assert fleet.counted() == 4
    assert {fate for *_, fate in fleet.ledger} == {Fate.DONE}
    assert {host for _, _, host, _ in fleet.ledger} <= {"one", "two"}


def test_a_block_goes_to_a_worker_that_declares_what_it_needs(fleet, elsewhere):
    elsewhere.work("small", "--resources", "memory=1000000")
    elsewhere.work("big", "--resources", "memory=64000000000 cores=2")
    assert run(fleet, elsewhere) == 0
    assert fleet.counted() == 4 and {host for _, _, host, _ in fleet.ledger} == {"big"}


def test_a_killed_worker_loses_nothing(fleet, elsewhere):
    """Another comes in its place, as a queue would start it."""
    victim = elsewhere.work("one")
    blocks = fleet.session.project.cache.parents[0] / "own/.cache/pageinit/fleet/blocks"
    killed = []

    def kill():
        victim.send_signal(signal.SIGKILL)
        killed.append(elsewhere.work("two"))

    thread = when(lambda: list(blocks.glob("*/results/runs/*/*/*/*")), kill)
    assert run(fleet, elsewhere) == 0
    thread.join(10)
    assert killed and fleet.counted() == 4
    assert [fate for *_, fate in fleet.ledger].count(Fate.DONE) == 2
    assert not list(blocks.iterdir())


APART = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
"""Numbers of processes mean nothing to us there, as on any machine but ours."""
STAYS = ("sh", "-c", '"$@" & wait; exec sleep 600', "sh")


@pytest.mark.parametrize("declared", [(), ("--resources", "host:one=1")], ids=["named", "declared"])
def test_a_worker_killed_on_another_machine_does_not_disturb_its_block(fleet, elsewhere, declared):
    if subprocess.run([*APART, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces of processes here")
    elsewhere.work("one", *declared, before=(*APART, *STAYS))
    blocks = fleet.session.project.cache.parents[0] / "own/.cache/pageinit/fleet/blocks"

    def kill():
        found = subprocess.run(
            ["pgrep", "-f", f"^{sys.executable} .*{elsewhere.file}.* --name one"],
            capture_output=True,
            text=True,
            check=True,
        )
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        elsewhere.work("two")

    thread = when(lambda: list(blocks.glob("*/results/runs/*/*/*/*")), kill)
    assert run(fleet, elsewhere) == 0
    thread.join(10)
    assert fleet.counted() == 4
    assert sorted((host, fate) for _, _, host, fate in fleet.ledger) == [
        ("one", Fate.DONE),
        ("two", Fate.DONE),
    ]


def test_a_scheduler_that_goes_away_is_named_and_loses_nothing(fleet, elsewhere):
    elsewhere.work("one")
    blocks = fleet.session.project.cache.parents[0] / "own/.cache/pageinit/fleet/blocks"
    when(lambda: list(blocks.glob("*/results/runs/*/*/*/*")), elsewhere.processes[0].kill)
    argv = [sys.executable, "-m", "harness", "run", "experiments/pair.yaml", "--dask"]
    done = subprocess.run(
        [*argv, str(elsewhere.file)], env=elsewhere.env, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "the scheduler is gone" in done.stderr


def test_a_worker_without_the_harness_gets_nothing_and_is_named(fleet, elsewhere):
    (elsewhere.folder / "harness.py").write_text("")
    elsewhere.work("bare", PYTHONPATH=str(elsewhere.folder))
    when(lambda: any("bare is of no use" in t for t in fleet.said), lambda: elsewhere.work("one"))
    assert run(fleet, elsewhere) == 0
    assert fleet.counted() == 4 and {host for _, _, host, _ in fleet.ledger} == {"one"}
    assert any("ModuleNotFoundError: No module named 'harness." in text for text in fleet.said)


def test_what_is_missing_is_said_with_a_remedy(checkout, monkeypatch, capsys, tmp_path):
    words = ["run", "experiments/pair.yaml", "--dask", str(tmp_path / "none.json")]
    assert main(words) == 2
    assert "no such scheduler file" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(words) == 2
    assert "pip install pageinit[dask]" in capsys.readouterr().err
