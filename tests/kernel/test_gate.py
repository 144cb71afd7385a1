# SPDX-License-Identifier: GPL-2.0-only
"""The correctness gate for real: a good kernel passes it, a kernel that loses memory does not."""

import csv
import json
from pathlib import Path

import pytest

from harness.cli import main

pytestmark = pytest.mark.kernel
ROOT = Path(__file__).parents[2]


def test_the_gate_lets_a_good_kernel_pass_and_no_broken_one(tmp_path, capsys):
    names = ["eager", "broken-lost-block"]
    argv = ["--root", str(ROOT), "gate", *names, "--results", str(tmp_path), "--json"]
    assert main(argv) == 1
    found = json.loads(capsys.readouterr().out)
    bad = {(c["variant"], c["build"], c["check"]) for c in found["checks"] if c["result"] == "fail"}
    assert not [row for row in bad if row[0] == "eager"]
    assert {("broken-lost-block", b, "lost-memory") for b in ("measured", "debug")} <= bad
    with (Path(found["results"]) / "gate.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found["checks"])
    assert "Correctness gate" in (Path(found["results"]) / "report.md").read_text()
