# SPDX-License-Identifier: GPL-2.0-only
"""What `import harness` offers."""

import inspect
import subprocess
import sys

import pytest

import harness
from harness.errors import UserError
from tests.support.checkout import ROOT

LOG = ROOT / "tests/golden/console/eager-16g.log"


def test_all_of_it_is_there_and_documented():
    offered = set(harness.__all__)
    assert offered == {
        *("load", "describe", "parse_log", "compare_variants"),
        *("Project", "boot_once", "run_experiment"),
    }
    assert all(len(inspect.getdoc(getattr(harness, name)) or "") > 60 for name in offered)


def test_nothing_is_loaded_before_it_is_used():
    code = "import sys, harness; print(*(m for m in sys.modules if m.startswith('harness')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["harness"]


def test_a_log_is_a_report_with_phases():
    report = harness.parse_log(LOG.read_bytes())
    assert report.outcome == "ok" and report.version and report.reason == ""
    assert {phase.name for phase in report.phases} > {"memmap_init", "memblock_free_all"}
    assert harness.parse_log(b"").outcome == "no-output"


def test_variants_are_compared_with_the_baseline_of_the_experiment():
    quick = harness.load(ROOT / "results/reference/quick")
    found = harness.compare_variants(quick, metrics=["boot"])
    assert found.baseline == "eager"
    assert {test.subject.name for family in found.families for test in family.tests} == {"boot"}
    with pytest.raises(UserError, match="no variant called 'x'"):
        harness.compare_variants(quick, "x")


def test_one_boot_is_a_record(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("PAGEINIT_CACHE", str(tmp_path / "cache"))
    project = harness.Project.find(checkout)
    run = harness.boot_once(project, "one", "small", keep=tmp_path / "kept")
    assert run.judgement.outcome == "ok" and run.clock == "time"
    assert list((tmp_path / "kept/runs").rglob("console.log*"))
    with pytest.raises(UserError):
        harness.boot_once(project, "none-such", "small")
