# SPDX-License-Identifier: GPL-2.0-only
"""What other programs read of a night."""

from xml.etree import ElementTree

import pytest

from harness.nightly import testcases
from harness.report.testcases import junit, ktap
from tests.support.nights import bad_night, board


def test_junit_has_a_case_for_each_figure_and_a_failure_for_each_regression():
    shown = board(bad_night())
    found = testcases.cases(shown.night, shown.changes)
    top = ElementTree.fromstring(junit("night", shown.night.started_utc, found))
    assert (top.get("tests"), top.get("failures"), top.get("errors")) == ("2", "2", "0")
    failures = {e.get("name"): e.find("failure") for e in top.iter("testcase")}
    assert "10,000,000 instructions -> 20,000,000" in failures["memmap_init"].get("message")
    assert "<script>" in failures["boots"].get("message")


def test_a_reader_of_others_counts_what_junit_says():
    junitparser = pytest.importorskip("junitparser")
    shown = board(bad_night())
    found = testcases.cases(shown.night, shown.changes)
    whole = junitparser.JUnitXml.fromstring(junit("night", shown.night.started_utc, found))
    (suite,) = whole
    assert (whole.tests, whole.failures, suite.name) == (2, 2, "eager.small.work")
    said = {case.name: case.result[0].message for case in suite}
    assert said == {case.name: case.text for case in found}
    whole.update_statistics()
    assert (whole.tests, whole.failures, whole.errors) == (2, 2, 0)


def test_ktap_counts_and_no_text_of_the_guest_begins_a_line():
    shown = board(bad_night())
    text = ktap(testcases.cases(shown.night, shown.changes))
    assert text.splitlines()[:3] == ["KTAP version 1", "1..1", "  KTAP version 1"]
    assert "  not ok 1 boots\n" in text
    assert text.endswith("not ok 1 eager.small.work\n")
    assert "\x1b" not in text
