# SPDX-License-Identifier: GPL-2.0-only
"""One boot from the command line."""

import json

from harness.cli import main


def test_boot_prints_the_run_record(checkout, capfd):
    assert main(["boot", "one", "small", "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert record["judgement"]["outcome"] == "ok"
    assert {p["name"] for p in record["phases"]} >= {"memmap_init", "boot"}
    assert record["kernel"]["base_version"] == "6.1-one"
