# SPDX-License-Identifier: GPL-2.0-only
"""Numbers are marked unless a gate has seen that very kernel and found nothing."""

import csv

import pytest

from harness.dataset import dataset
from harness.files import write_atomic
from harness.gate.status import statuses, verdict
from harness.model.run import Kernel
from harness.model.variant import Variant
from harness.report import render
from harness.results.folder import Results, to_json
from tests.support.records import lock as plain_lock
from tests.support.records import stored


def lock(tree="t1", boot=()):
    kernel = Kernel(kernel_id="k", base_version="6.12", tree=tree, image_sha256="i")
    variant = Variant(name="grow", description="d", fragments=["base"], boot=list(boot))
    plain = plain_lock()
    return plain.model_copy(
        update={
            "variants": {**plain.variants, "grow": variant},
            "kernels": {"grow": kernel},
        }
    )


def gate(folder, results, tree="t1", boot=()):
    """A gate's folder as it is on disk: one check on each build."""
    write_atomic(folder / "experiment.lock.yaml", lock(tree, boot).to_yaml())
    with (folder / "gate.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["variant", "build", "check", "result"])
        writer.writeheader()
        for build, result in results.items():
            row = {"variant": "grow", "build": build, "check": "log", "result": result}
            writer.writerow(row)


GREEN = {"measured": "pass", "debug": "pass"}


@pytest.mark.parametrize(
    ("results", "standing"),
    [
        (GREEN, "green"),
        ({"measured": "pass", "debug": "skip"}, "green"),
        ({"measured": "pass", "debug": "fail"}, "failed"),
        ({"measured": "pass"}, "none"),
    ],
)
def test_both_builds_have_to_pass(tmp_path, results, standing):
    gate(tmp_path / "gate" / "20260101T000000Z-x", results)
    assert statuses(tmp_path / "quick" / "run", lock())["grow"] == standing


def test_another_source_or_parameter_has_no_proof(tmp_path):
    gate(tmp_path / "reference" / "gate", GREEN, "t1", ["deferred_init=grow"])
    here = tmp_path / "quick" / "run"
    assert statuses(here, lock("t1", ["deferred_init=grow"]))["grow"] == "green"
    assert statuses(here, lock("t2", ["deferred_init=grow"]))["grow"] == "none"
    assert statuses(here, lock("t1"))["grow"] == "none"
    assert statuses(here, lock())["eager"] == "none"


def test_the_newest_gate_decides_and_a_damaged_one_proves_nothing(tmp_path):
    gate(tmp_path / "gate" / "20260101T000000Z-x", GREEN)
    gate(tmp_path / "gate" / "20260102T000000Z-x", {**GREEN, "debug": "fail"})
    here = tmp_path / "quick" / "run"
    assert statuses(here, lock())["grow"] == "failed"
    (tmp_path / "gate" / "20260102T000000Z-x" / "experiment.lock.yaml").write_text("[")
    assert statuses(here, lock())["grow"] == "green"
    (tmp_path / "gate" / "20260101T000000Z-x" / "gate.csv").write_text("a,b\n1,2\n")
    assert statuses(here, lock())["grow"] == "none"


def test_a_part_of_the_variants_may_have_a_gate_of_its_own(tmp_path):
    gate(tmp_path / "reference" / "gate", GREEN, "t2")
    gate(tmp_path / "reference" / "gate-grow", GREEN, "t1")
    assert statuses(tmp_path / "reference" / "scale", lock("t1"))["grow"] == "green"


def test_a_kernel_that_did_not_build_has_no_proof():
    assert verdict([], "grow") == "none"


def test_tables_and_plots_mark_what_is_not_proved(tmp_path):
    gate(tmp_path / "gate" / "20260101T000000Z-x", GREEN)
    results = Results(tmp_path / "quick" / "run")
    write_atomic(results.path / "experiment.lock.yaml", lock().to_yaml())
    for variant in ("eager", "grow"):
        item = stored((variant, "m1", "time"), 0, 1)
        folder = results.path / "runs" / variant / "m1" / "time" / "000"
        write_atomic(folder / "run.json", to_json(item.run))
    found = dataset.collate(results)
    assert found.standing == {"eager": "none", "grow": "green"}
    rows = found.summary[["variant", "gate"]].drop_duplicates().to_numpy().tolist()
    assert rows == [["eager", "none"], ["grow", "green"]]
    assert [row[0] for row in render.headline(found).rows] == ["eager †", "grow"]
    page, text = render.render(results, found)
    assert "has not been through the correctness gate" in page
    assert "eager †" in text and "grow †" not in text
    dataset.write(found, results.path)
    again = dataset.load_tables(results.path)
    assert again["runs"]["gate"].tolist() == ["none", "green"]
