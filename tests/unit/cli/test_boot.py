# SPDX-License-Identifier: GPL-2.0-only
"""One boot from the command line."""

import json

import pytest

from harness.cli import main


def test_boot_prints_the_run_record(checkout, capfd):
    assert main(["boot", "one", "small", "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["judgement"]["outcome"] == "ok"
    assert {p["name"] for p in record["phases"]} >= {"memmap_init", "boot"}
    assert record["kernel"]["base_version"] == "6.1-one"


@pytest.mark.parametrize(
    ("words", "ran"),
    [
        ((), "meminfo,zoneinfo,touch"),
        (("--probes", "none"), ""),
        (("--probes", "touch,meminfo"), "touch,meminfo"),
    ],
)
def test_what_runs_in_the_guest_can_be_chosen(checkout, capfd, words, ran):
    assert main(["boot", "one", "small", "--json", *words]) == 0
    line = json.loads(capfd.readouterr().out)["command_line"].split()
    assert [word for word in line if word.startswith("probe.run=")] == [f"probe.run={ran}"]


def test_a_probe_that_is_not_there_is_named_with_those_that_are(checkout, capfd):
    assert main(["boot", "one", "small", "--probes", "meminfo,tuch"]) == 2
    said = capfd.readouterr().err
    assert "no probe called 'tuch'" in said and "meminfo, zoneinfo, touch" in said
