# SPDX-License-Identifier: GPL-2.0-only
"""The nights' KTAP as the kernel's own parser reads it."""

import re
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from harness.kernel.git import environment
from harness.kernel.store import Kernels
from harness.nightly import testcases
from harness.process import run
from harness.report.testcases import ktap
from tests.support.nights import bad_night, board
from tests.support.real import ROOT

REAL = ROOT / "results/reference/nightly/reports"
GOOD, BAD = "2026-11-02", "2026-11-03"


@pytest.fixture(scope="module")
def kunit(kernels: Kernels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tools/testing/kunit/kunit.py of the base source."""
    folder = tmp_path_factory.mktemp("kunit")
    argv = ["git", "--git-dir", kernels.base.repo, "archive", "base", "tools/testing/kunit"]
    with tarfile.open(fileobj=BytesIO(run(argv, env=environment()).stdout)) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # not in Python 3.11.2
        tar.extractall(folder)
    return folder / "tools/testing/kunit/kunit.py"


def parse(kunit: Path, file: Path) -> tuple[int, dict[str, int]]:
    """The exit status, and how many tests passed, failed, crashed or were not understood."""
    done = subprocess.run(
        [sys.executable, kunit, "parse", file], capture_output=True, text=True, cwd=kunit.parents[3]
    )
    assert "error" not in done.stdout.lower(), done.stdout
    (counts,) = re.findall(r"Testing complete\. Ran \d+ tests: (.*)", done.stdout)
    return done.returncode, {k: int(n) for k, n in re.findall(r"(\w+): (\d+)", counts)}


def test_it_counts_what_the_real_nights_said(kunit):
    expected = {}
    for day in (GOOD, BAD):
        words = re.findall(r"^  (not ok|ok) ", (REAL / day / "results.ktap").read_text(), re.M)
        expected[day] = (words.count("ok"), words.count("not ok"))
    assert expected[GOOD] == (65, 0) and expected[BAD][1] > 0
    assert parse(kunit, REAL / GOOD / "results.ktap") == (0, {"passed": 65})
    passed, failed = expected[BAD]
    assert parse(kunit, REAL / BAD / "results.ktap") == (1, {"passed": passed, "failed": failed})


def test_it_is_not_misled_by_the_text_of_a_guest(kunit, tmp_path):
    shown = board(bad_night())
    file = tmp_path / "results.ktap"
    file.write_text(ktap(testcases.cases(shown.night, shown.changes)))
    assert parse(kunit, file) == (1, {"failed": 2})
