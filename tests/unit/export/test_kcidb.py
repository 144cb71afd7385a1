# SPDX-License-Identifier: GPL-2.0-only
"""A report to KernelCI's database, by its own library."""

import json

import kcidb_io

from harness.export.kcidb import export


def test_kcidb_validates_the_report_and_a_panic_has_failed(broken):
    found = json.loads(export(broken))
    assert kcidb_io.schema.LATEST.validate(found) == found
    assert kcidb_io.schema.LATEST.is_compatible_exactly(found)
    ids = [entry["id"] for part in ("checkouts", "builds", "tests") for entry in found[part]]
    assert len({entry["id"] for entry in found["tests"]}) == len(found["tests"])
    builds = {entry["id"] for entry in found["builds"]}
    assert {test["build_id"] for test in found["tests"]} <= builds <= set(ids)
    tests = [test for test in found["tests"] if test["path"] == "boot"]
    assert sorted({test["status"] for test in tests}) == ["FAIL", "PASS"]
    (panic,) = [test for test in tests if test["status"] == "FAIL"]
    assert panic["misc"]["outcome"] == "panic"
    assert not [t for t in found["tests"] if t["id"].startswith(f"{panic['id']}:")]
    (init, *_) = [t for t in found["tests"] if t["path"] == "pageinit.memmap_init"]
    assert init["status"] == "DONE"
    assert init["number"]["unit"] in ("s", "instructions")


def test_a_kernel_that_does_not_build_has_failed_and_its_boots_were_missed(quick):
    runs = quick.runs.copy()
    mine = runs["variant"] == "grow"
    runs.loc[mine, ["outcome", "reason"]] = ["build-failed", "mm/page.c:1: error"]
    runs.loc[mine, ["kernel_id", "image_sha256"]] = None
    gone = {
        name: table[table["variant"] != "grow"]
        for name, table in quick.tables().items()
        if name in ("phases", "probes", "stores")
    }
    found = json.loads(export(type(quick).of(quick.tables() | gone | {"runs": runs}, quick.lock)))
    kcidb_io.schema.LATEST.validate(found)
    (build,) = [b for b in found["builds"] if b["config_name"] == "grow"]
    assert (build["status"], build["log_excerpt"]) == ("FAIL", "mm/page.c:1: error")
    mine = [test for test in found["tests"] if test["build_id"] == build["id"]]
    assert mine and {test["status"] for test in mine} == {"MISS"}
