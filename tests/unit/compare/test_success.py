# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that do not boot, or not always: never better, and never unsaid."""

import pytest

from harness.cli import main
from harness.compare.compare import CompareOptions, Comparison, compare_variants
from harness.compare.export import regressions, rows
from tests.support.synthetic import Recipe, make, write

OPTIONS = CompareOptions(baseline="base")
SIZES = ("small", "middle", "large")


def boots(found: Comparison) -> dict[tuple[str, str], str]:
    return {(s.variant, s.machine): s.word for s in found.success}


def compared(factor=1.0, failed=(), **recipe) -> Comparison:
    return compare_variants(
        make(Recipe({"base": 1.0, "new": factor}, failed=frozenset(failed), **recipe)), OPTIONS
    )


@pytest.mark.parametrize("clock", ["time", "work"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_what_never_boots_is_worse_however_few_blocks(clock, blocks) -> None:
    found = compared(failed=[("new", n) for n in range(blocks)], clock=clock, blocks=blocks)
    assert boots(found) == {("new", "small"): "does not boot"}
    assert [row["verdict"] for row in regressions(found)] == ["does not boot"]


def test_the_work_clock_needs_no_test() -> None:
    found = compared(failed=[("new", 1)], clock="work", blocks=2)
    assert [(s.word, s.p) for s in found.success] == [("fails more", None)]
    assert any(row["kind"] == "boots" for row in regressions(found))
    both = compared(failed=[("new", 0), ("base", 0)], clock="work", blocks=1)
    assert boots(both) == {("new", "small"): "fails alike"}
    assert not list(regressions(both))


def test_cells_of_the_time_clock_are_one_test() -> None:
    """One boot of three that fails on each of three machines is no proof; two of three are, though
    no machine alone could say so."""
    few = compared(failed=[("new", 0)], blocks=3, machines=SIZES)
    assert boots(few) == {("new", "all"): "not told apart"}
    many = compared(failed=[("new", 0), ("new", 1)], blocks=3, machines=SIZES)
    assert boots(many) == {("new", "all"): "fails more"}
    assert next(iter(many.success)).p == pytest.approx(0.009049773755656)


def test_one_machine_that_never_boots_is_named_among_many() -> None:
    made = make(Recipe({"base": 1.0, "new": 1.0}, blocks=3, machines=SIZES))
    dead = (made.runs["variant"] == "new") & (made.runs["machine"] == "large")
    made.runs.loc[dead, "outcome"] = "panic"
    found = compare_variants(made, OPTIONS)
    assert boots(found)["new", "large"] == "does not boot"
    assert "does not boot" in {row["verdict"] for row in regressions(found)}


@pytest.mark.parametrize(
    ("factor", "word"), [(0.5, "faster, but fails"), (1.0, "equivalent, but fails")]
)
def test_survivors_are_not_the_kernel(factor, word, tmp_path, capsys) -> None:
    """Two boots of twelve prove no difference, and still no good word comes without them."""
    failed = [("new", n) for n in range(2)]
    found = compared(factor, failed, blocks=12, noise=0.001)
    assert boots(found) == {("new", "small"): "not told apart"}
    assert {r["verdict"] for r in rows(found) if r["kind"] == "time"} == {word}
    assert list(regressions(found))
    made = make(Recipe({"base": 1.0, "new": factor}, failed=frozenset(failed), blocks=12))
    folder = str(write(made, tmp_path / "set"))
    assert main(["compare", folder, "--baseline", "base", "--fail-on", "regressed"]) == 1
    assert "but fails" in capsys.readouterr().out.replace("\n", " ")


def test_who_fails_less_is_as_good_as_it_looks() -> None:
    found = compared(0.5, [("base", n) for n in range(3)], blocks=12, noise=0.001)
    assert {r["verdict"] for r in rows(found) if r["kind"] == "time"} == {"faster"}


def test_an_arm_that_fails_more_makes_the_dataset_suspect() -> None:
    failed = frozenset(("base@2", n) for n in range(8))
    found = compare_variants(make(Recipe({"base": 1.0, "base@2": 1.0}, failed=failed)), OPTIONS)
    assert "A/A" in {s.rule for s in found.suspects}
    assert not list(regressions(found))
