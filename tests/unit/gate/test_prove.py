# SPDX-License-Identifier: GPL-2.0-only
"""``harness gate`` from end to end: no variant passes without the evidence of both builds."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from harness.cli import main
from harness.gate import checks as gate
from tests.support.checkout import MACHINE, ROOT
from tests.support.store import foreign, keep, lay_sources, torn

BUILDS = ("grow", "grow.debug")


@pytest.fixture
def gated(checkout, monkeypatch):
    """A checkout with `eager` and `grow`, their kernels in the store, and probes of a good boot."""
    project = lay_sources(checkout, ("eager", "grow"))
    for variant in map(project.variant, ("eager", "grow")):
        keep(project, variant)
        keep(project, gate.debug(variant))
    (checkout / f"qemu-configs/{gate.MACHINE}.yaml").write_text(MACHINE)
    monkeypatch.setenv("FAKE_PROBES", str(ROOT / "tests/golden/gate/eager.jsonl"))
    return checkout


def prove(*words: str) -> int:
    return main(["gate", "grow", *words])


def folder(checkout: Path) -> Path:
    (found,) = (checkout / "results/gate").iterdir()
    return found


def record(checkout: Path, build: str) -> Path:
    return folder(checkout) / f"runs/{build}/{gate.MACHINE}/time/000/run.json"


def fails(checks: list[dict[str, str]]) -> set[tuple[str, str, str]]:
    return {(c["variant"], c["build"], c["check"]) for c in checks if c["result"] == "fail"}


def rows(checkout: Path) -> list[dict[str, str]]:
    with (folder(checkout) / "gate.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_variant_passes_with_the_evidence_of_both_builds(gated, capfd):
    assert prove("--json") == 0
    checks = json.loads(capfd.readouterr().out)["checks"]
    assert len(checks) == 2 * len(gate.CHECKS)
    assert not fails(checks)
    assert len(rows(gated)) == len(checks)


@pytest.mark.parametrize("harm", [torn, lambda path: path.write_bytes(b""), Path.unlink])
def test_half_a_record_is_booted_again_and_judged(gated, capfd, harm):
    assert prove() == 0
    for build in BUILDS:
        harm(record(gated, build))
    capfd.readouterr()
    assert prove("--json") == 0
    said = capfd.readouterr()
    assert len(json.loads(said.out)["checks"]) == 2 * len(gate.CHECKS)
    for build in BUILDS:
        path = record(gated, build)
        assert json.loads(path.read_bytes())["attempt"] == 2
        told = " ".join(said.err.split())
        assert f"set aside, and booted again: {path.relative_to(gated)}" in told


def test_records_of_another_schema_are_no_evidence(gated, capfd):
    assert prove() == 0
    for build in BUILDS:
        foreign(record(gated, build))
    capfd.readouterr()
    assert prove("--json") == 1
    checks = json.loads(capfd.readouterr().out)["checks"]
    assert fails(checks) == {("grow", build, "boots") for build in gate.BUILDS}
    for check, build in zip(checks, BUILDS, strict=True):
        place = record(gated, build).relative_to(folder(gated))
        why = "schema version 999; this harness reads 1"
        assert check["detail"] == f"0 of 1 boots can be read: {place}: {why}"
    assert fails(rows(gated)) == fails(checks)
    assert prove() == 1
    shown = " ".join(capfd.readouterr().out.split())
    assert "grow: 2 FAILED" in shown
    assert "schema version 999" in shown
    assert "2 FAILED" in (folder(gated) / "report.md").read_text()


def test_one_build_does_not_make_up_for_the_other(gated, capfd):
    assert prove() == 0
    foreign(record(gated, "grow.debug"))
    capfd.readouterr()
    assert prove("--json") == 1
    checks = json.loads(capfd.readouterr().out)["checks"]
    assert fails(checks) == {("grow", "debug", "boots")}
    assert len(checks) == len(gate.CHECKS) + 1


def test_an_unreadable_measure_fails_what_is_compared_with_it(gated, capfd):
    assert prove() == 0
    foreign(record(gated, "eager"))
    capfd.readouterr()
    assert prove("--json") == 1
    found = fails(json.loads(capfd.readouterr().out)["checks"])
    assert {check for _, _, check in found} == {"totals", "used-memory", "lost-memory"}


def test_a_boot_to_compare_with_that_went_wrong_is_named(gated, capfd):
    assert prove() == 0
    path = record(gated, "eager")
    judgement = {"outcome": "panic", "reason": "\x1b[31mfake"}
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"judgement": judgement}))
    capfd.readouterr()
    assert prove() == 1
    shown = capfd.readouterr().out
    assert "WENT WRONG: eager/gate-8g/time/000: panic: \N{REPLACEMENT CHARACTER}[31mfake" in shown
    assert "\x1b" not in shown


def test_a_folder_that_cannot_be_listed_is_an_error_by_name(gated, capfd):
    assert prove() == 0
    place = folder(gated) / "runs/grow"
    shutil.rmtree(place)
    place.symlink_to(place)
    capfd.readouterr()
    assert prove() == 2
    assert f"{place.relative_to(gated)}: cannot be listed" in " ".join(
        capfd.readouterr().err.split()
    )


def test_collate_of_a_build_without_a_record_says_so(gated):
    assert prove() == 0
    shutil.rmtree(record(gated, "grow.debug").parents[3])
    assert main(["collate", str(folder(gated))]) == 0
    (row,) = [row for row in rows(gated) if row["result"] == "fail"]
    assert (row["variant"], row["build"], row["check"]) == ("grow", "debug", "boots")
    assert row["detail"] == "0 of 1 boots can be read: runs/grow.debug/gate-8g/time/000: no record"
    assert prove() == 0, "what is missing is booted"


PAIR = """
description: both kernels once
baseline: eager
matrix: [{variants: [eager, grow], machines: [small], clocks: {work: {}}}]
"""


def status(folder: Path) -> dict[str, str]:
    with (folder / "runs.csv").open(newline="") as file:
        return {row["variant"]: row["gate"] for row in csv.DictReader(file)}


def test_the_verdict_travels_with_what_is_booted_after_it(gated, tmp_path):
    (gated / "experiments/both.yaml").write_text(PAIR)
    assert prove() == 0
    assert main(["run", "both"]) == 0
    (place,) = (gated / "results/both").iterdir()
    assert status(place) == {"eager": "none", "grow": "green"}
    copy = Path(shutil.copytree(place, tmp_path / "copy"))
    (copy / "runs.csv").unlink()
    assert main(["collate", str(copy)]) == 0
    assert (copy / "runs.csv").read_bytes() == (place / "runs.csv").read_bytes()

    foreign(record(gated, "grow"))
    assert prove() == 1
    assert main(["collate", str(place)]) == 0
    assert status(place)["grow"] == "green", "until the experiment goes on"
    assert main(["run", "both"]) == 0
    assert status(place)["grow"] == "failed"
    shutil.rmtree(tmp_path / "cache/gate")
    assert main(["run", "both"]) == 0
    assert status(place)["grow"] == "failed", "a verdict that is not known here is not lost"
    assert len(list((gated / "results/both").iterdir())) == 1
    record(gated, "grow").unlink()
    assert prove() == 0
    assert main(["run", "both"]) == 0
    assert status(place)["grow"] == "green"


REFERENCE = ROOT / "results/reference/gate"


@pytest.mark.parametrize(("harm", "why"), [(torn, "not a run record"), (foreign, "schema version")])
def test_the_reference_without_records_of_a_variant_has_no_green_one(tmp_path, harm, why):
    copy = Path(shutil.copytree(REFERENCE, tmp_path / "gate"))
    for build in BUILDS:
        harm(copy / f"runs/{build}/{gate.MACHINE}/time/000/run.json")
    assert main(["collate", str(copy)]) == 1, "damage is told"
    with (copy / "gate.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert fails(found) == {("grow", build, "boots") for build in gate.BUILDS}
    assert all(why in row["detail"] for row in found if row["variant"] == "grow")
    with (copy / "runs.csv").open(newline="") as file:
        status = {row["variant"]: row["gate"] for row in csv.DictReader(file)}
    assert {status["lazy"], status["eager"]} == {"green"}
