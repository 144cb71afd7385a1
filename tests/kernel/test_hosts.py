# SPDX-License-Identifier: GPL-2.0-only
"""The same experiment here and on two hosts over SSH, with real kernels and a real QEMU."""

import os
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.model.run import Outcome
from harness.results.folder import Results
from tests.support.real import ROOT
from tests.support.sshd import BINARY, Lab

EXPERIMENT = """
description: two kernels here and elsewhere
baseline: eager
probes: {run: [meminfo, touch], touch_bytes: 32MiB, touch_threads: 1}
matrix:
  - variants: [eager, grow]
    machines: [tiny-2g]
    clocks: {work: {}, time: {blocks: 2}}
"""


@pytest.fixture
def lab(tmp_path):
    """Two hosts with the QEMU of this one."""
    if not BINARY:
        pytest.skip("no sshd here: apt-get install openssh-server")
    lab = Lab(tmp_path)
    for name in ("one", "two"):
        lab.serve(name, memory="4GiB", cores=2, python=sys.executable, fake=False)
    yield lab
    lab.stop()


def run(project, folder: Path, *more: str) -> Results:
    (folder / "away.yaml").write_text(EXPERIMENT)
    words = ["--root", str(ROOT), "--cache", str(project.cache), "run"]
    assert main([*words, str(folder / "away.yaml"), "--results", str(folder), *more]) == 0
    (path,) = (folder / "away").iterdir()
    return Results(path)


def counts(results: Results):
    """Instructions of every phase of every boot of the work clock."""
    runs = [stored.run for stored in results.read()[0]]
    return {
        (run.variant, phase.name, phase.node): phase.duration
        for run in runs
        for phase in run.phases
        if run.clock == "work" and phase.source == "mark"
    }


def test_boots_elsewhere_are_the_boots_here(project, lab, tmp_path):
    pytest.importorskip("distributed")
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    there = run(project, tmp_path / "there", "--hosts", str(lab.file))
    runs = [stored.run for stored in there.read()[0]]
    assert len(runs) == 6 and {run.judgement.outcome for run in runs} == {Outcome.OK}
    assert {run.environment.host for run in runs} <= {os.uname().nodename, "one", "two"}
    here = counts(run(project, tmp_path / "here", "--clock", "work"))
    assert counts(there) == here and len({variant for variant, *_ in here}) == 2
    for server in lab.servers.values():
        assert not list((server.home / ".cache/pageinit/hosts").glob("*/blocks/*"))
