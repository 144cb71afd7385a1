# SPDX-License-Identifier: GPL-2.0-only
"""Boots count once, whatever happens to them and to who makes them."""

import asyncio
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
from harness.errors import HostError, ResultsError
from harness.project import Project
from harness.results.folder import Results
from harness.results.ledger import Fate, Ledger, open_attempts
from harness.run import loop
from harness.run.local import Local
from harness.run.session import prepare
from tests.support.checkout import ROOT, heed_ctrl_c, results, rows
from tests.support.records import told


def test_a_killed_run_is_lost_in_the_ledger_and_goes_on(checkout):
    argv = [sys.executable, "-m", "harness", "run", "experiments/pair.yaml"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL) as harness:
        end = time.monotonic() + 60
        # The second block is under way: one of its boots is over, another is not.
        while len(list(checkout.glob("results/pair/*/runs/*/*/*/*/run.json"))) < 3:
            assert time.monotonic() < end
            time.sleep(0.01)
        harness.send_signal(signal.SIGKILL)
    folder = results(checkout)
    kept = {p: p.read_bytes() for p in folder.glob("runs/*/*/*/[0-9w]*/run.json")}
    (open_one,) = open_attempts(Ledger(folder).read()[0])
    assert main(["run", "experiments/pair.yaml"]) == 0
    entries, damage = Ledger(folder).read()
    assert (open_one.block, 1, Fate.LOST) in told(Ledger(folder)) and not damage
    assert (open_one.block, 2, Fate.DONE) in told(Ledger(folder))
    assert not open_attempts(entries)
    counted = [r["run_id"] for r in rows(folder, "runs")]
    assert len(counted) == len(set(counted)) == 6
    assert all(path.read_bytes() == data for path, data in kept.items())


class Twice:
    """An executor that does everything twice, as one may where a host seemed to be dead."""

    def __init__(self, elsewhere: Path) -> None:
        self.elsewhere = elsewhere

    async def execute(self, job):
        await Local().execute(job)
        shutil.copytree(job.results.path / "runs", self.elsewhere / "runs")
        for block in job.blocks:
            for slot in block.slots:
                copy = self.elsewhere / "runs" / slot.key
                run_id = slot.run_id(job.session.lock.hash)
                assert job.results.adopt(slot, run_id, copy) is False


@pytest.fixture
def session(request, tmp_path):
    """Of the experiment `pair`, in the checkout that the test has asked for."""
    request.getfixturevalue("ran" if "ran" in request.fixturenames else "checkout")
    project = Project.find(tmp_path / "checkout", tmp_path / "cache")
    return prepare(project, project.experiment(Path("experiments/pair.yaml")))


def test_what_is_done_twice_counts_once_and_is_kept(checkout, session, tmp_path):
    options = loop.RunOptions(checkout / "results")
    folder = loop.open_results(session, options)
    loop.run(session, folder, options, lambda event: None, Twice(tmp_path / "else"))
    assert len(folder.read()[0]) == 6
    assert len(list(folder.path.glob("runs/*/*/*/*.attempt1/run.json"))) == 6


def test_a_boot_from_elsewhere_is_taken_in_or_refused(ran, session, tmp_path):
    folder, other = Results(ran), Results(tmp_path / "other")
    slots = session.experiment.schedule()
    first, second = slots[0], slots[1]
    ids = [slot.run_id(session.lock.hash) for slot in slots]
    incoming = tmp_path / "incoming"
    shutil.copytree(folder.folder(first), incoming)
    for slot, run_id in ((first, ids[1]), (second, ids[0]), (second, ids[1])):
        with pytest.raises(ResultsError, match="holds another run"):
            other.adopt(slot, run_id, incoming)
    assert other.adopt(first, ids[0], incoming) is True
    assert [stored.run.run_id for stored in other.read()[0]] == [ids[0]]
    incoming.mkdir()
    with pytest.raises(ResultsError, match="not a run record"):
        other.adopt(first, ids[0], incoming)


class Idle:
    """An executor that boots nothing, and does not say so."""

    async def execute(self, job):
        await asyncio.sleep(0)


def test_what_was_planned_and_left_no_record_went_wrong(checkout, session):
    options = loop.RunOptions(checkout / "results")
    folder = loop.open_results(session, options)
    assert loop.run(session, folder, options, lambda event: None, Idle()) == 6
    ran = loop.run_experiment(session.project, session.experiment, options, executor=Idle())
    assert {str(item) for item in ran.unread} == {
        f"runs/{slot.key}: no record" for slot in session.experiment.schedule()
    }


class Fails:
    """An executor that cannot go on."""

    async def execute(self, job):
        await asyncio.sleep(0)
        raise HostError("all hosts are gone")


def test_an_executor_that_fails_fails_the_run(checkout, session):
    options = loop.RunOptions(checkout / "results")
    folder = loop.open_results(session, options)
    with pytest.raises(HostError, match="all hosts are gone"):
        loop.run(session, folder, options, lambda event: None, Fails())


def test_a_fresh_folder_is_the_newest_whatever_the_clock_says(checkout, monkeypatch):
    """A clock that was set back let --fresh lose to the older folder at the next start."""
    place = Project.find(checkout)
    session = prepare(place, place.experiment(Path("experiments/pair.yaml")))
    ahead = Path("results/pair") / f"20991231T235959Z-{session.lock.hash}"
    ahead.mkdir(parents=True)
    for _ in range(2):
        fresh = loop.open_results(session, loop.RunOptions(Path("results"), fresh=True))
        fresh.path.mkdir()
        assert loop.open_results(session, loop.RunOptions(Path("results"))).path == fresh.path
    assert len(list(Path("results/pair").iterdir())) == 3


ENDS = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGABRT", "SIGXCPU", "SIGKILL")


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("play", ["hang", "stubborn"])
def test_every_signal_that_ends_a_program_ends_the_harness_and_qemu(checkout, name, play):
    """Also while modules are imported: SIGQUIT at 0.26 s hung once."""
    argv = [sys.executable, "-m", "harness", "run", "experiments/pair.yaml"]
    env = os.environ | {"PYTHONPATH": str(ROOT), "FAKE_QEMU": play, "MARK": str(checkout)}
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c) as harness:
        end = time.monotonic() + 60
        while not qemus(checkout):
            assert time.monotonic() < end
            time.sleep(0.01)
        harness.send_signal(signal.Signals[name])
        said = harness.communicate(timeout=15)[1]
    assert harness.returncode in (130, -signal.Signals[name])
    assert b"Traceback" not in said
    end = time.monotonic() + 5
    while alive := qemus(checkout):
        assert time.monotonic() < end, alive
        time.sleep(0.05)


def qemus(folder):
    """Emulators whose environment is marked with a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            here = f"MARK={folder}".encode() in path.with_name("environ").read_bytes()
            if here and b"-append" in words:
                found.append(words)
    return found


def test_free_memory_is_kept_once_for_the_boots_of_the_time_clock(checkout, session, monkeypatch):
    kept, closed = [], []

    @contextlib.contextmanager
    def held(need):
        kept.append(need)
        yield need
        closed.append(need)

    monkeypatch.setattr(loop.host_memory, "is_taken_back", lambda: True)
    monkeypatch.setattr(loop.host_memory, "held", held)
    monkeypatch.setattr(loop.host_memory, "WORTH", 1)
    options = loop.RunOptions(checkout / "results")
    folder = loop.open_results(session, options)
    loop.run(session, folder, options, lambda event: None)
    needs = {loop._need(session, slot).total for slot in session.experiment.schedule()}
    timed = "time" in session.experiment.clocks
    assert kept == closed == ([max(needs)] if timed else [])
    loop.run(session, folder, options, lambda event: None)
    assert len(kept) == timed
