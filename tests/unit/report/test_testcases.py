# SPDX-License-Identifier: GPL-2.0-only
"""What CI servers and the kernel's own tools read of an experiment, of a gate."""

import junitparser

from harness.cli import main
from harness.dataset import dataset
from harness.gate import Check
from harness.report import testcases
from tests.support.checkout import ROOT

QUICK = dataset.load(ROOT / "results/reference/quick")
BAD = Check("id", "gate-8g", "grow", "debug", "log", "fail", "BUG: x\n# SKIP\x1b[2J <script>")
SKIPPED = Check(None, "gate-8g", "grow", "plain", "oom", "skip", "not here")


def test_each_boot_is_a_case_of_its_cell():
    found = testcases.boots(QUICK)
    assert len(found) == len(QUICK.runs) and all(case.good for case in found)
    whole = junitparser.JUnitXml.fromstring(testcases.junit("quick", "2026-11-30", found))
    assert (whole.tests, whole.failures, whole.errors) == (len(found), 0, 0)
    assert {suite.name for suite in whole} >= {"eager.quad-16g.work", "grow.quad-64g.time"}


def test_each_check_is_a_case_of_its_build_and_no_text_does_harm():
    found = testcases.checks([BAD, SKIPPED])
    whole = junitparser.JUnitXml.fromstring(testcases.junit("gate", "2026-11-30", found))
    assert (whole.tests, whole.failures, whole.skipped) == (2, 1, 1)
    lines = testcases.ktap(found).splitlines()
    assert "  not ok 1 log" in lines and "  ok 1 oom # SKIP" in lines
    assert "not ok 1 grow.debug" in lines and "ok 2 grow.plain" in lines
    assert not any("\x1b" in line or line.startswith("# SKIP") for line in lines)


def test_run_writes_them_and_says_what_failed(checkout, tmp_path, monkeypatch):
    files = tmp_path / "out.xml", tmp_path / "out.ktap"
    monkeypatch.setenv("FAKE_QEMU", "panic")
    argv = ["run", "experiments/pair.yaml", "--junit", str(files[0]), "--ktap", str(files[1])]
    assert main(argv) == 1
    whole = junitparser.JUnitXml.fromfile(str(files[0]))
    assert whole.tests == 6 and whole.failures == 6
    (first, *_) = (case for suite in whole for case in suite)
    assert first.result[0].message.startswith("panic")
    assert "not ok 1 one.small.time" in files[1].read_text()
