# SPDX-License-Identifier: GPL-2.0-only
"""An experiment whose blocks are booted by Slurm jobs, with the fake QEMU there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.results.folder import Results
from harness.results.ledger import Fate, Ledger
from tests.support.checkout import FAKES, heed_ctrl_c
from tests.support.slurm import running, until

pytestmark = pytest.mark.slurm

WORKER = "distributed.cli.dask_worker"
QEMU = str(FAKES / "qemu-system-x86_64")
PARTS = ("harness.hosts.supervisor", "harness.hosts.block", QEMU)


class Laboratory:
    """The command line, and what has come of it."""

    def __init__(self, slurm, batch, checkout):
        self.slurm, self.batch, self.checkout = slurm, batch, checkout
        self.home = Path(os.environ["HOME"])
        self.started = []

    def run(self, jobs=2):
        """Starts the experiment."""
        argv = [sys.executable, "-m", "harness", "run", "experiments/pair.yaml"]
        argv += ["--cluster", str(self.batch(jobs))]
        with (self.checkout / "log").open("ab") as log:
            started = subprocess.Popen(argv, stdout=log, stderr=log, preexec_fn=heed_ctrl_c)
        self.started.append(started)
        return started

    def edit(self, old, new):
        """Changes the experiment."""
        path = self.checkout / "experiments/pair.yaml"
        path.write_text(path.read_text().replace(old, new))

    def busy(self):
        """Whether a block is being booted."""
        hosts = self.home / ".cache/pageinit/hosts"
        return any(hosts.glob("*/blocks/*/results/runs/*/*/*/*"))

    @property
    def results(self):
        (lock,) = self.checkout.glob("results/pair/*/experiment.lock.yaml")
        return Results(lock.parent)

    @property
    def ledger(self):
        entries, damage = Ledger(self.results.path).read()
        assert not damage
        return [(entry.host, entry.fate) for entry in entries if entry.fate]

    def counted(self):
        stored, damage = self.results.read()
        ids = [each.run.run_id for each in stored]
        assert not damage and len(ids) == len(set(ids))
        return len(ids)


@pytest.fixture
def laboratory(checkout, slurm, batch, monkeypatch):
    # The order of fixtures: the checkout has put the fake QEMU into a PATH without Slurm's.
    monkeypatch.setenv("PATH", f"{FAKES}:{slurm.env['PATH']}")
    laboratory = Laboratory(slurm, batch, checkout)
    laboratory.edit("warmup: 1", "warmup: 0")
    yield laboratory
    for process in laboratory.started:
        process.kill()
        process.wait()
    if (checkout / "log").is_file():
        print((checkout / "log").read_text())


def test_blocks_are_booted_by_jobs(laboratory):
    assert laboratory.run().wait(60) == 0
    assert laboratory.counted() == 4
    assert {fate for _, fate in laboratory.ledger} == {Fate.DONE}
    assert {host for host, _ in laboratory.ledger} <= {"n1", "n2"}
    until(lambda: not laboratory.slurm.jobs())


def test_a_job_that_is_cancelled_in_the_middle_of_a_block(laboratory):
    """A failed attempt; the next job does the block."""
    slurm, harness = laboratory.slurm, laboratory.run(jobs=1)
    until(laboratory.busy)
    (job,) = running(slurm).values()
    slurm.ask("scancel", job)
    assert harness.wait(90) == 0
    assert laboratory.counted() == 4
    assert [fate for _, fate in laboratory.ledger] == [Fate.FAILED, Fate.DONE, Fate.DONE]


@pytest.mark.parametrize("end", ["scancel", "worker", "harness"])
def test_nothing_of_a_block_outlives_its_job(laboratory, monkeypatch, end):
    """Slurm tracks processes by their parents here, and the supervisor of a block has lost its."""
    slurm = laboratory.slurm
    monkeypatch.setenv("FAKE_QEMU", "hang")
    laboratory.edit("silence_s: 1, progress_s: 1.5", "silence_s: 60, progress_s: 60")
    harness = laboratory.run(jobs=1)
    until(lambda: all(map(slurm.processes, PARTS)))
    block = set().union(*map(slurm.processes, PARTS))
    (job,) = running(slurm).values()
    if end == "scancel":
        slurm.ask("scancel", job)
    elif end == "worker":
        for pid in slurm.processes(WORKER):
            if "harness.hosts.job" not in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
    else:
        harness.kill()
    until(lambda: job not in slurm.jobs(), 90)
    assert not block & slurm.processes()


def test_everything_but_slurm_is_killed_in_the_middle_of_a_block(laboratory):
    """As when the machine that all was started on goes down: it is started again."""
    slurm, harness = laboratory.slurm, laboratory.run(jobs=1)
    until(laboratory.busy)
    harness.kill()
    assert harness.wait()
    until(lambda: not slurm.jobs(), 90)
    assert laboratory.run(jobs=1).wait(60) == 0
    assert laboratory.counted() == 4
    assert laboratory.ledger[0] == ("n1", Fate.LOST)
    assert [fate for _, fate in laboratory.ledger].count(Fate.DONE) == 2


def test_ctrl_c_ends_the_jobs(laboratory, monkeypatch):
    slurm = laboratory.slurm
    monkeypatch.setenv("FAKE_QEMU", "hang")
    harness = laboratory.run()
    until(laboratory.busy)
    harness.send_signal(signal.SIGINT)
    assert harness.wait(30) == 130
    until(lambda: not slurm.jobs())
    until(lambda: not slurm.processes(QEMU))
