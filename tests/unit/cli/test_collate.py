# SPDX-License-Identifier: GPL-2.0-only
"""Tables and pages again, from the evidence."""

from harness.cli import main

CSVS = ("runs.csv", "phases.csv", "probes.csv", "summary.csv", "datapackage.json")


def test_collate_gives_the_same_bytes(ran):
    names = (*CSVS, "report.html", "report.md")
    before = {name: (ran / name).read_bytes() for name in names}
    for name in names:
        (ran / name).unlink()
    assert main(["collate", str(ran)]) == 0
    assert before == {name: (ran / name).read_bytes() for name in names}
