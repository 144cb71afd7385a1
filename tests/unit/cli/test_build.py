# SPDX-License-Identifier: GPL-2.0-only
"""Kernels from the command line."""

from harness.cli import main
from tests.support.checkout import results, rows
from tests.support.sources import MM, built_from_source, series


def test_a_variant_that_does_not_apply_is_2_and_spoils_no_other(checkout, tmp_path, capfd):
    patches = built_from_source(checkout, "series: [bad]")
    other = MM.replace("line 6", "line ten")
    series(patches, "bad", other, other.replace("line 5\n", "line five\n"))
    assert main(["build", "two"]) == 2
    said = capfd.readouterr().err
    assert "0001-change.patch: does not apply to 6.12.1" in said and "mm/page.c" in said
    assert main(["run", "experiments/pair.yaml"]) == 2
    outcomes = {(r["variant"], r["outcome"]) for r in rows(results(checkout), "runs")}
    assert outcomes == {("one", "ok"), ("two", "build-failed")}


def test_a_cache_that_make_cannot_work_in_is_named(checkout, tmp_path, monkeypatch, capfd):
    built_from_source(checkout, "series: []")
    monkeypatch.setenv("PAGEINIT_CACHE", str(tmp_path / "with space"))
    assert main(["build", "two"]) == 2
    assert "no path with a space" in capfd.readouterr().err
