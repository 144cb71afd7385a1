# SPDX-License-Identifier: GPL-2.0-only
"""A verdict belongs to a kernel: its source, fragments and parameters; what gates said is kept."""

import csv

import pytest

from harness.files import write_atomic
from harness.project import Project
from harness.run.gate_status import gate_verdict, keep_status, known
from tests.support.records import grown as lock


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


def seen(project, lock):
    """What `prepare` would put into a lock with these variants and kernels."""
    return known(project, lock.variants, lock.kernels).get("grow", "none")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "checkout", tmp_path / "cache")


def kept(project, standing, tree="t1", boot=()):
    here = lock(tree, boot)
    keep_status(project.cache, here.variants["grow"], here.kernels["grow"], standing)


@pytest.mark.parametrize(
    ("results", "standing"),
    [
        (GREEN, "green"),
        ({"measured": "pass", "debug": "skip"}, "green"),
        ({"measured": "pass", "debug": "fail"}, "failed"),
        ({"measured": "pass"}, "none"),
    ],
)
def test_both_builds_have_to_pass(project, results, standing):
    rows = [{"variant": "grow", "build": b, "result": r} for b, r in results.items()]
    assert gate_verdict(rows, "grow") == standing
    gate(project.root / "results/reference/gate", results)
    assert seen(project, lock()) == standing


def test_another_source_or_parameter_has_no_proof(project):
    kept(project, "green", "t1", ["deferred_init=grow"])
    assert seen(project, lock("t1", ["deferred_init=grow"])) == "green"
    assert seen(project, lock("t2", ["deferred_init=grow"])) == "none"
    assert seen(project, lock("t1")) == "none"
    assert "eager" not in known(project, lock().variants, lock().kernels)


def test_another_toolchain_has_the_same_proof(project):
    kept(project, "green")
    here = lock()
    other = here.kernels["grow"].model_copy(update={"kernel_id": "other", "toolchain": "gcc 99"})
    assert known(project, here.variants, {"grow": other}) == {"grow": "green"}


def test_the_newest_verdict_decides_and_a_damaged_one_proves_nothing(project):
    kept(project, "green")
    kept(project, "failed")
    assert seen(project, lock()) == "failed"
    (file,) = (project.cache / "gate").glob("*.json")
    for damage in ("", "{", '{"standing": "none"}'):
        file.write_text(damage)
        assert seen(project, lock()) == "none"


def test_gates_that_come_with_the_checkout_are_believed_until_one_is_run_here(project):
    reference = project.root / "results/reference"
    gate(reference / "gate", GREEN, "t2")
    gate(reference / "gate-grow", GREEN, "t1")
    assert seen(project, lock("t1")) == "green"
    assert seen(project, lock("t2")) == "green"
    kept(project, "failed")
    assert seen(project, lock("t1")) == "failed"
    here, other = lock("t1"), lock("t2")
    both = dict.fromkeys(("here", "other"), here.variants["grow"])
    kernels = {"here": here.kernels["grow"], "other": other.kernels["grow"]}
    assert known(project, both, kernels) == {"here": "failed", "other": "green"}
    (reference / "gate/experiment.lock.yaml").write_text("[")
    assert seen(project, lock("t2")) == "none"
    gate(reference / "gate", GREEN, "t2")
    (reference / "gate/gate.csv").write_text("a,b\n1,2\n")
    assert seen(project, lock("t2")) == "none"


def test_a_kernel_that_did_not_build_has_no_proof(project):
    assert gate_verdict([], "grow") == "none"
    here = lock()
    keep_status(project.cache, here.variants["grow"], "does not compile", "failed")
    assert not (project.cache / "gate").exists()
    assert known(project, here.variants, {"grow": "does not compile"}) == {}
