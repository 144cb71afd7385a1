# SPDX-License-Identifier: GPL-2.0-only
"""The ledger survives a kill at any moment."""

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import main
from harness.results.ledger import Fate, Ledger, open_attempts
from tests.support.checkout import ROOT, rows
from tests.support.records import told


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
