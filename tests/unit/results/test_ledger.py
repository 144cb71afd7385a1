# SPDX-License-Identifier: GPL-2.0-only
"""The ledger survives a kill at any moment, and blocks count once whatever happens to them."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import main
from harness.errors import HostError, ResultsError
from harness.model.experiment import Experiment
from harness.model.schedule import Slot, blocks
from harness.project import Project
from harness.results.folder import Results
from harness.results.ledger import Fate, Ledger, open_attempts
from harness.run import loop
from harness.run.local import Local
from harness.run.session import prepare
from tests.support.checkout import ROOT, results, rows


def told(ledger):
    return [(e.block, e.attempt, e.fate) for e in ledger.read()[0]]


def test_an_attempt_begins_and_ends(tmp_path):
    ledger = Ledger(tmp_path)
    assert ledger.begin("m/time/000", "here") == 1
    ledger.end("m/time/000", 1, "here", Fate.FAILED, detail="the disk is full")
    assert Ledger(tmp_path).begin("m/time/000", "there") == 2
    assert Ledger(tmp_path).begin("m/time/001", "there") == 1
    assert told(ledger) == [
        ("m/time/000", 1, None),
        ("m/time/000", 1, "failed"),
        ("m/time/000", 2, None),
        ("m/time/001", 1, None),
    ]
    assert [e.key for e in open_attempts(ledger.read()[0])] == [
        ("m/time/000", 2),
        ("m/time/001", 1),
    ]
    assert [e.key for e in ledger.close_lost()] == [("m/time/000", 2), ("m/time/001", 1)]
    assert ledger.close_lost() == [] and open_attempts(ledger.read()[0]) == []


@given(cut=st.integers(0, 10_000), junk=st.binary(max_size=40))
def test_a_torn_end_costs_no_other_line(tmp_path_factory, cut, junk):
    ledger = Ledger(tmp_path_factory.mktemp("l"))
    for number in range(3):
        ledger.begin(f"m/time/{number:03d}", "here")
    whole = ledger.path.read_bytes()
    kept = whole[: cut % (len(whole) + 1)]
    ledger.path.write_bytes(kept + (junk if not kept.endswith(b"\n") else b""))
    ledger.begin("m/work/000", "here")
    entries, damage = ledger.read()
    assert entries[-1].block == "m/work/000"
    assert len(entries) >= 1 + kept.count(b"\n") and len(damage) <= 1 + junk.count(b"\n")


WRITER = """
import sys; from pathlib import Path; from harness.results.ledger import Fate, Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(10**6):
    attempt = ledger.begin(f"m/time/{number}", "here")
    print(number, flush=True)
    ledger.end(f"m/time/{number}", attempt, "here", Fate.DONE, runs={"r": "ok"})
"""


@pytest.mark.parametrize("lines", [1, 7, 40])
def test_a_killed_writer_loses_nothing_that_it_reported(tmp_path, lines):
    argv = [sys.executable, "-c", WRITER, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) as writer:
        for _ in range(lines):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
    ledger = Ledger(tmp_path)
    entries, damage = ledger.read()
    begun = [e.block for e in entries if e.fate is None]
    assert begun[: last + 1] == [f"m/time/{n}" for n in range(last + 1)]
    assert not damage and len(open_attempts(entries)) <= 1
    ledger.close_lost()
    assert not open_attempts(ledger.read()[0])


def test_a_block_is_all_of_one_machine_clock_and_number(checkout):
    experiment = Experiment.load(checkout / "experiments/pair.yaml")
    found = blocks(experiment.schedule())
    assert [b.key for b in found] == ["small/time/warmup", "small/time/000", "small/time/001"]
    assert all({s.variant for s in b.slots} == {"one", "two"} for b in found)


def test_groups_that_share_a_machine_share_its_blocks():
    slots = [Slot(v, m, "work", n, 0) for v, m, n in (("a", "m", 0), ("a", "n", 0), ("b", "m", 0))]
    assert [[s.variant for s in b.slots] for b in blocks(slots)] == [["a", "b"], ["a"]]


def test_a_run_is_in_the_ledger_and_in_the_dataset(ran):
    entries, damage = Ledger(ran).read()
    ended = {e.block: e.runs for e in entries if e.fate == Fate.DONE}
    assert [e.fate for e in entries] == [None, "done"] * 3
    assert list(ended) == ["small/time/warmup", "small/time/000", "small/time/001"]
    ids = {r["run_id"] for r in rows(ran, "runs")}
    assert {run for runs in ended.values() for run in runs} == ids and len(ids) == 6
    assert {o for runs in ended.values() for o in runs.values()} == {"ok"} and not damage
    assert main(["run", "experiments/pair.yaml"]) == 0
    assert Ledger(ran).read()[0] == entries


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
    return prepare(project, project.experiment(Path("experiments/pair.yaml")), lambda text: None)


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
