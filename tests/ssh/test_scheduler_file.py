# SPDX-License-Identifier: GPL-2.0-only
"""Blocks on Dask workers that somebody else started."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from harness.hosts.cluster import SchedulerFile
from harness.hosts.executor import Hosts, RetryPolicy
from harness.results.ledger import Fate
from harness.run import loop
from tests.support.checkout import ROOT
from tests.support.hosts import until, when
from tests.support.messages import collected

pytestmark = pytest.mark.ssh


class Elsewhere:
    """A scheduler and workers, as their command lines start them; each has a home of its own."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "scheduler.json"
        self.env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.processes = []
        self._start("scheduler", "--scheduler-file", str(self.file), "--port", "0")
        until(self.file.is_file)

    def work(self, name, lent="host=1 memory=64000000000", **env):
        argv = ["--scheduler-file", str(self.file), "--name", name, "--nthreads", "1", "--no-nanny"]
        argv += ["--resources", lent.format(name=name)] if lent else []
        home = self.folder / name
        home.mkdir(exist_ok=True)
        return self._start("worker", *argv, env={"HOME": str(home), **env})

    def booting(self, name):
        blocks = self.folder / name / ".cache/pageinit/hosts"
        return any(blocks.glob("*/blocks/*/results/runs/*/*/*/*"))

    def _start(self, *words, env=None):
        argv = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
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
def elsewhere(hosts, tmp_path):
    (tmp_path / "dask").mkdir()
    cluster = Elsewhere(tmp_path / "dask")
    yield cluster
    cluster.stop()


def run(hosts, elsewhere):
    executor = Hosts(SchedulerFile(elsewhere.file), RetryPolicy(margin_s=20))
    try:
        with collected(hosts.said):
            return loop.run(hosts.session, hosts.results, hosts.options, lambda e: None, executor)
    finally:
        print((elsewhere.folder / "log").read_text())


def test_workers_of_somebody_else_boot_blocks(hosts, elsewhere):
    """They share no folder with us."""
    for name in ("one", "two"):
        elsewhere.work(name)
    assert run(hosts, elsewhere) == 0
    assert hosts.counted() == 4
    assert {fate for *_, fate in hosts.ledger} == {Fate.DONE}
    assert {host for _, _, host, _ in hosts.ledger} <= {"one", "two"}


def test_a_block_goes_to_a_worker_that_declares_what_it_needs(hosts, elsewhere):
    elsewhere.work("small", "host=1 memory=1000000")
    elsewhere.work("silent", "")
    elsewhere.work("big", "host=1 memory=64000000000 cores=2")
    assert run(hosts, elsewhere) == 0
    assert hosts.counted() == 4 and {host for _, _, host, _ in hosts.ledger} == {"big"}


def test_a_killed_worker_loses_nothing(hosts, elsewhere):
    """Another comes in its place, as a queue would start it."""
    victim = elsewhere.work("one")

    def kill():
        victim.send_signal(signal.SIGKILL)
        elsewhere.work("two")

    thread = when(lambda: elsewhere.booting("one"), kill)
    assert run(hosts, elsewhere) == 0
    thread.join(10)
    assert hosts.counted() == 4
    assert hosts.ledger[0][2:] == ("one", Fate.FAILED)
    assert [fate for *_, fate in hosts.ledger][1:] == [Fate.DONE] * 2


def test_a_killed_worker_that_says_its_host_does_not_disturb_its_block(hosts, elsewhere):
    """Another one comes to the same host, whatever else there is."""
    lent = "host=1 memory=64000000000 host:{name}=1"
    victim = elsewhere.work("one", lent)

    def kill():
        victim.send_signal(signal.SIGKILL)
        time.sleep(0.5)
        elsewhere.work("one", lent)

    thread = when(lambda: elsewhere.booting("one"), kill)
    assert run(hosts, elsewhere) == 0
    thread.join(10)
    assert hosts.counted() == 4 and hosts.fates == [Fate.DONE] * 2


def test_a_scheduler_that_goes_away_is_named_and_loses_nothing(hosts, elsewhere):
    elsewhere.work("one")
    when(lambda: elsewhere.booting("one"), elsewhere.processes[0].kill)
    argv = [sys.executable, "-m", "harness", "run", "experiments/pair.yaml", "--dask"]
    done = subprocess.run(
        [*argv, str(elsewhere.file)], env=elsewhere.env, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "the scheduler is gone" in done.stderr


@pytest.mark.parametrize("other", ["none", "older"])
def test_a_worker_without_the_very_harness_gets_nothing_and_is_named(hosts, elsewhere, other):
    if other == "none":
        (elsewhere.folder / "harness.py").write_text("")
    else:
        shutil.copytree(ROOT / "harness", elsewhere.folder / "harness")
        (elsewhere.folder / "harness/gate/checks.py").write_text("# as it was\n")
    elsewhere.work("bare", PYTHONPATH=str(elsewhere.folder))
    when(lambda: hosts.heard("bare is of no use"), lambda: elsewhere.work("one"))
    assert run(hosts, elsewhere) == 0
    assert hosts.counted() == 4 and {host for _, _, host, _ in hosts.ledger} == {"one"}
    assert hosts.heard("has another harness") != hosts.heard("No module named")
