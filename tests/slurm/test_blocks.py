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
from tests.support.checkout import FAKES, ROOT
from tests.support.slurm import running, until

pytestmark = pytest.mark.slurm


class Laboratory:
    """The command line beside `tools/slurm`, and what has come of it."""

    def __init__(self, slurm, holder, checkout):
        self.slurm, self.holder, self.checkout = slurm, holder, checkout
        self.home = checkout.parent / "home"

    def run(self):
        """Starts the experiment; its blocks go to whatever jobs there are."""
        until(self.holder.file.is_file)
        argv = [sys.executable, "-m", "harness", "run", "experiments/pair.yaml"]
        argv += ["--dask", str(self.holder.file)]
        env = {**os.environ, "DASK_CONFIG": str(self.holder.folder / "tls")}
        with (self.checkout / "log").open("ab") as log:
            return subprocess.Popen(argv, env=env, stdout=log, stderr=log)

    def edit(self, old, new):
        """Changes the experiment."""
        path = self.checkout / "experiments/pair.yaml"
        path.write_text(path.read_text().replace(old, new))

    def busy(self):
        """Whether a block is being booted."""
        blocks = self.home / ".cache/pageinit/fleet/blocks"
        return any(blocks.glob("*/results/runs/*/*/*/*"))

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
def laboratory(checkout, monkeypatch, slurm, holder):
    laboratory = Laboratory(slurm, holder, checkout)
    monkeypatch.setenv("HOME", str(laboratory.home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    laboratory.edit("warmup: 1", "warmup: 0")
    yield laboratory
    if (checkout / "log").is_file():
        print((checkout / "log").read_text())


def test_blocks_are_booted_by_jobs(laboratory):
    laboratory.holder.hold()
    assert laboratory.run().wait(60) == 0
    assert laboratory.counted() == 4
    assert {fate for _, fate in laboratory.ledger} == {Fate.DONE}
    assert {host for host, _ in laboratory.ledger} <= {"n1", "n2"}


def test_a_job_that_is_cancelled_in_the_middle_of_a_block(laboratory):
    """A failed attempt; the next job does the block."""
    slurm = laboratory.slurm
    laboratory.holder.hold(jobs=1)
    harness = laboratory.run()
    until(laboratory.busy)
    (job,) = running(slurm).values()
    slurm.ask("scancel", job)
    assert harness.wait(60) == 0
    assert laboratory.counted() == 4
    assert [fate for _, fate in laboratory.ledger] == [Fate.FAILED, Fate.DONE, Fate.DONE]


WORKER = "distributed.cli.dask_worker"
QEMU = str(FAKES / "qemu-system-x86_64")


@pytest.mark.parametrize("end", ["scancel", "worker", "holder"])
def test_nothing_of_a_block_outlives_its_job(laboratory, monkeypatch, end):
    """Slurm tracks processes by their parents here, and the supervisor of a block has lost its."""
    slurm, holder = laboratory.slurm, laboratory.holder
    monkeypatch.setenv("FAKE_QEMU", "hang")
    laboratory.edit("silence_s: 1, progress_s: 1.5", "silence_s: 60, progress_s: 60")
    holder.hold(jobs=1)
    harness = laboratory.run()
    parts = ("harness.hosts.supervisor", "harness.hosts.worker", QEMU)
    until(lambda: all(map(slurm.processes, parts)))
    block = set().union(*map(slurm.processes, parts))
    (job,) = running(slurm).values()
    harness.kill()
    harness.wait()
    if end == "scancel":
        slurm.ask("scancel", job)
    elif end == "worker":
        for pid in slurm.processes(WORKER):
            if "slurm-job" not in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
    else:
        holder.end(signal.SIGKILL)
    until(lambda: job not in slurm.jobs())
    assert not block & slurm.processes()


def test_everything_but_slurm_is_killed_in_the_middle_of_a_block(laboratory):
    """As when the machine that all was started on goes down: both are started again."""
    slurm, holder = laboratory.slurm, laboratory.holder
    holder.hold(jobs=1)
    harness = laboratory.run()
    until(laboratory.busy)
    harness.kill()
    assert harness.wait() and holder.end(signal.SIGKILL)
    until(lambda: not slurm.jobs(), 90)
    holder.file.unlink()
    holder.hold(jobs=1)
    assert laboratory.run().wait(60) == 0
    assert laboratory.counted() == 4
    assert laboratory.ledger[0] == ("n1", Fate.LOST)
    assert [fate for _, fate in laboratory.ledger].count(Fate.DONE) == 2
