# SPDX-License-Identifier: GPL-2.0-only
"""Datasets with known effects, from numbers to verdicts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import harness
from harness.cli import main
from harness.compare.compare import CompareOptions, Comparison, compare_variants
from harness.compare.export import regressions, rows
from harness.compare.noise import noise
from harness.dataset.dataset import Dataset
from harness.report.text import cover_letter
from tests.support.checkout import ROOT
from tests.support.synthetic import Recipe, make, write

SCALE = ROOT / "results/reference/scale"
QUICK = ROOT / "results/reference/quick"
OPTIONS = CompareOptions(baseline="base")


def words(found: Comparison, kind: str = "time") -> dict[tuple[str, str], str]:
    return {(r["variant"], r["name"]): r["verdict"] for r in rows(found) if r["kind"] == kind}


def test_known_effects_get_their_words() -> None:
    factors = {"base": 1.0, "half": 0.5, "worse": 1.3, "same": 1.0}
    made = make(Recipe(factors, blocks=10, noise=0.005, blocks_noise=0.3))
    found = compare_variants(made, OPTIONS)
    assert words(found) == {
        (variant, name): word
        for variant, word in (("half", "faster"), ("worse", "slower"), ("same", "equivalent"))
        for name in ("boot", "memmap_init")
    }
    (family,) = (f for f in found.families if f.name.startswith("time"))
    assert family.name == "time clock: 6 tests of 3 variants, 1 machine, 2 metrics"
    half = next(t for t in family.tests if t.variant == "half")
    assert half.effect.estimate == pytest.approx(-0.693, abs=0.01)
    assert {r["variant"] for r in regressions(found)} == {"worse"}
    assert not found.suspects or {s.rule for s in found.suspects} == {"noise"}


def test_blocks_are_pairs_and_a_drift_of_the_host_hits_both() -> None:
    made = make(Recipe({"base": 1.0, "new": 0.9}, blocks=8, noise=0.01, blocks_noise=0.5))
    (family, *_) = compare_variants(made, OPTIONS).families
    assert {t.verdict.word for t in family.tests} == {"faster"}
    assert family.tests[0].effect.width < 0.05
    apart = make(Recipe({"base": 1.0, "new": 0.9}, blocks=8, noise=0.01, blocks_noise=0.5, seed=9))
    (family, *_) = compare_variants(made, CompareOptions(baseline="base"), apart).families
    assert family.tests[0].effect.test == "Mann-Whitney"
    assert {t.verdict.word for t in family.tests} == {"inconclusive"}


@pytest.mark.parametrize(
    ("blocks", "word"), [(1, "inconclusive"), (5, "inconclusive"), (6, "faster")]
)
def test_no_verdict_from_fewer_than_six_blocks(blocks: int, word: str) -> None:
    found = compare_variants(make(Recipe({"base": 1.0, "new": 0.1}, blocks=blocks)), OPTIONS)
    (family, *_) = found.families
    assert {t.verdict.word for t in family.tests} == {word}
    if word == "inconclusive":
        assert "at least 6 blocks" in family.tests[0].verdict.why
        assert family.tests[0].verdict.more_blocks == 6 - blocks


def test_a_missing_boot_takes_its_block_out_of_the_pairs() -> None:
    recipe = Recipe(
        {"base": 1.0, "new": 0.5}, blocks=9, failed=frozenset({("new", 2), ("base", 5)})
    )
    found = compare_variants(make(recipe), OPTIONS)
    (family, *_) = found.families
    assert {t.effect.n for t in family.tests} == {7}


def test_failures_are_compared_first_and_by_fisher() -> None:
    failed = frozenset(("new", block) for block in range(6))
    made = make(Recipe({"base": 1.0, "new": 1.0}, failed=failed))
    (success,) = compare_variants(made, OPTIONS).success
    assert (success.good, success.boots, success.base_good) == (2, 8, 8)
    # Of the C(16, 8) ways to draw, 28 are as extreme on each side.
    assert success.p == pytest.approx(2 * 28 / 8008)
    assert success.word == "fails more"
    made = make(Recipe({"base": 1.0, "new": 1.0}, failed=frozenset({("new", 0)})))
    few = compare_variants(made, OPTIONS)
    assert few.success[0].word == "not told apart"
    none = compare_variants(make(Recipe({"base": 1.0, "new": 1.0})), OPTIONS)
    assert none.success[0].word == "all booted"


def test_a_variant_that_never_boots_is_no_row_of_times_but_one_of_boots() -> None:
    failed = frozenset(("new", block) for block in range(8))
    found = compare_variants(make(Recipe({"base": 1.0, "new": 1.0}, failed=failed)), OPTIONS)
    assert not words(found)
    assert words(found, "boots") == {("new", "boots"): "does not boot"}
    assert [r["kind"] for r in regressions(found)] == ["boots"]


def test_the_work_clock_is_exact() -> None:
    recipe = Recipe({"base": 1.0, "new": 1.5, "same": 1.0}, clock="work", blocks=2,
                    phases={"boot": 1000, "memmap_init": 4})  # fmt: skip
    found = compare_variants(make(recipe), OPTIONS)
    assert not found.defects
    assert {(e.variant, e.subject.name): e.difference for e in found.exact} == {
        ("new", "boot"): 500,
        ("new", "memmap_init"): 2,
        ("same", "boot"): 0,
        ("same", "memmap_init"): 0,
    }
    assert words(found, "work")["same", "boot"] == "identical"
    assert all(r.get("p") is None for r in rows(found) if r["kind"] == "work")


def test_repeats_that_differ_are_a_defect_named_with_cell_and_phase(tmp_path, capsys) -> None:
    made = make(Recipe({"base": 1.0, "new": 2.0}, clock="work", blocks=3, phases={"boot": 1000}))
    odd = (made.phases["variant"] == "new") & (made.phases["block"] == 1)
    made.phases.loc[odd, "instructions"] = 2001
    (defect,) = compare_variants(made, OPTIONS).defects
    assert (defect.variant, defect.subject.machine, defect.subject.name) == ("new", "small", "boot")
    assert defect.counts == {0: 2000, 1: 2001, 2: 2000}
    assert main(["compare", str(write(made, tmp_path / "set")), "--baseline", "base"]) == 1
    said = capsys.readouterr().out
    assert "DEFECT" in said and "1: 2001" in said


FLOOR = noise().work["page_alloc_init_late"]


@pytest.mark.parametrize(
    ("name", "more", "word"),
    [
        ("page_alloc_init_late", FLOOR, "within the floor"),
        ("page_alloc_init_late", FLOOR + 1, "changed"),
        ("memmap_init", 1, "changed"),
        ("memmap_init", 0, "identical"),
    ],
)
def test_a_count_has_changed_beyond_what_a_command_line_moves(name, more, word) -> None:
    """The same kernel with another word on its command line runs other instructions."""
    made = make(Recipe({"base": 1.0, "new": 1.0}, clock="work", phases={name: 1_000_000}))
    made.phases.loc[made.phases["variant"] == "new", "instructions"] += more
    assert words(compare_variants(made, OPTIONS), "work") == {("new", name): word}


@pytest.mark.parametrize(("idle", "word"), [(7, "changed"), (pd.NA, "cannot be compared")])
def test_counts_that_hold_waits_are_not_compared(idle, word) -> None:
    made = make(Recipe({"base": 1.0, "new": 2.0}, clock="work", phases={"boot": 10**10}))
    made.phases["idle"] = pd.array([idle] * len(made.phases), dtype="Int64")
    found = compare_variants(made, OPTIONS)
    assert words(found, "work") == {("new", "boot"): word}
    assert bool(list(regressions(found))) == (word == "changed")


@pytest.mark.parametrize(("factor", "regressed"), [(1.01, False), (1.05, True), (0.5, False)])
def test_instructions_regress_by_more_than_is_of_interest(factor: float, regressed: bool) -> None:
    recipe = Recipe({"base": 1.0, "new": factor}, clock="work", phases={"memmap_init": 1000})
    found = compare_variants(make(recipe), OPTIONS)
    assert any(r["kind"] == "work" for r in regressions(found)) == regressed
    assert words(found, "work") == {("new", "memmap_init"): "changed"}


def test_a_phase_is_measured_by_what_it_takes() -> None:
    made = make(Recipe({"base": 1.0, "new": 1.0}, phases={"boot": 1.0, "hash_tables": 0.5}))
    metrics = {
        t.subject.name: t.subject.metric
        for f in compare_variants(made, OPTIONS).families
        for t in f.tests
    }
    assert metrics["boot"] == "duration_s"
    assert metrics["hash_tables"] == "busy_s"  # its calls lie far apart


def test_a_phase_that_takes_nothing_has_no_ratio_and_is_named() -> None:
    made = make(Recipe({"base": 1.0, "new": 0.0}, phases={"boot": 1.0}))
    found = compare_variants(made, OPTIONS)
    assert words(found) == {("new", "boot"): "cannot be compared"}
    assert "8 of 8" in cover_letter(found, made)
    some = make(Recipe({"base": 1.0, "new": 1.0}, phases={"boot": 1.0}))
    some.phases.loc[
        (some.phases["variant"] == "new") & (some.phases["block"] == 2), "duration_s"
    ] = 0
    found = compare_variants(some, OPTIONS)
    assert [(g.left_out, g.blocks) for g in found.gaps] == [(1, 8)]
    assert (
        words(found) == {("new", "boot"): "equivalent"} and found.families[0].tests[0].effect.n == 7
    )


def test_two_boots_of_one_block_are_named_and_the_first_counts() -> None:
    made = make(Recipe({"base": 1.0, "new": 0.5}))
    tables = {name: table.copy() for name, table in made.tables().items()}
    for name in ("runs", "phases"):
        again = tables[name][(tables[name]["variant"] == "new") & (tables[name]["block"] == 3)]
        again = again.assign(run_id="again")
        if name == "phases":
            again["duration_s"] *= 100
        tables[name] = pd.concat([tables[name], again], ignore_index=True)
    found = compare_variants(replace(made, **tables), OPTIONS)
    assert words(found) == {("new", "boot"): "faster", ("new", "memmap_init"): "faster"}
    assert ("twice", 3) in {(s.rule, s.block) for s in found.suspects}


def test_tables_without_evidence_can_be_compared(tmp_path) -> None:
    folder = write(make(Recipe({"base": 1.0, "new": 1.0})), tmp_path / "set")
    (folder / "runs").rmdir()
    assert main(["compare", str(folder), "--baseline", "base"]) == 0
    assert main(["compare", str(tmp_path), "--baseline", "base"]) == 0


def test_a_second_arm_that_counts_otherwise_is_a_defect() -> None:
    recipe = Recipe({"base": 1.0, "base@2": 1.001}, clock="work", phases={"boot": 1000})
    (defect,) = compare_variants(make(recipe), OPTIONS).defects
    assert defect.variant == "base@2" and set(defect.counts.values()) == {1001}


def test_memory_is_less_or_more_in_bytes_too() -> None:
    recipe = Recipe({"base": 1.0, "new": 1.0, "fat": 1.0}, rss={"new": 0.5, "fat": 2.0})
    found = compare_variants(make(recipe), OPTIONS)
    assert words(found, "memory") == {
        ("new", "host_rss_peak_bytes"): "less",
        ("fat", "host_rss_peak_bytes"): "more",
    }
    (test,) = (
        t for f in found.families for t in f.tests if t.variant == "new" and "host" in f.name
    )
    assert test.difference == -(1 << 29)


def test_few_blocks_have_a_range_and_no_interval() -> None:
    for blocks, called in ((1, None), (3, "range"), (5, "range"), (6, "95 %")):
        made = make(Recipe({"base": 1.0, "new": 0.9}, blocks=blocks, noise=0.01))
        told = [r for r in rows(compare_variants(made, OPTIONS)) if r["kind"] == "time"]
        assert {r["interval"] for r in told} == {called}
    made = make(Recipe({"base": 1.0, "new": 0.9}, blocks=3, noise=0.01))
    found = compare_variants(made, OPTIONS)
    test = found.families[0].tests[0]
    values = [made.phases[made.phases["variant"] == v] for v in ("new", "base")]
    boots = [v[v["phase"] == "boot"]["duration_s"].to_numpy(dtype=float) for v in values]
    logs = np.log(boots[0] / boots[1])
    assert (test.effect.low, test.effect.high) == pytest.approx((logs.min(), logs.max()))
    assert "holds the median in 75% of experiments" in cover_letter(found, made)


@pytest.mark.parametrize(
    ("share", "word"), [(0.95, "less"), (0.978, "inconclusive"), (1.05, "more")]
)
def test_one_boot_tells_memory_apart_beyond_the_floor(share: float, word: str) -> None:
    """Of 1 GiB 2 % are 20 MiB; a difference of 22.5 MiB less the floor of 4 MiB is not beyond."""
    recipe = Recipe({"base": 1.0, "new": 1.0}, blocks=1, rss={"new": share})
    assert words(compare_variants(make(recipe), OPTIONS), "memory") == {
        ("new", "host_rss_peak_bytes"): word
    }


def test_growth_needs_three_sizes() -> None:
    recipe = Recipe({"base": 1.0}, machines=("small", "middle", "large"))
    line = next(g.line for g in compare_variants(make(recipe), OPTIONS).growth if g.name == "boot")
    assert line is not None and line.slope == pytest.approx(2.0 / (4 << 30))
    two = Recipe({"base": 1.0}, machines=("small", "middle"))
    assert all(g.line is None for g in compare_variants(make(two), OPTIONS).growth)


def test_what_waits_has_no_line() -> None:
    recipe = Recipe({"base": 1e9}, blocks=1, machines=("small", "middle", "large"), clock="work")
    told = {g.name: g.line for g in compare_variants(make(recipe), OPTIONS).growth}
    assert told["boot"] and told["memmap_init"]
    made = make(recipe)
    made.phases["idle"] = pd.NA
    growth = {g.name: (g.line, g.waits) for g in compare_variants(made, OPTIONS).growth}
    assert growth["boot"] == (None, True) and growth["memmap_init"][0] == told["memmap_init"]


def test_an_arm_that_differs_from_itself_makes_the_dataset_suspect() -> None:
    made = make(Recipe({"base": 1.0, "base@2": 1.0, "new": 0.5}, noise=0.002))
    same = compare_variants(made, OPTIONS)
    assert not same.suspects
    assert words(same, "A/A") == {("base@2", n): "equivalent" for n in ("boot", "memmap_init")}
    assert ("base@2", "boot") not in words(same)
    biased = compare_variants(make(Recipe({"base": 1.0, "base@2": 1.1}, noise=0.002)), OPTIONS)
    assert {s.rule for s in biased.suspects} == {"A/A"}
    assert not list(regressions(biased))


def test_the_committed_dataset_says_what_it_can() -> None:
    dataset = harness.load(SCALE)
    found = compare_variants(dataset, CompareOptions())
    times, memory = found.families
    # Hundreds of tests at once, of which many are beyond doubt: eight blocks are enough for them.
    words = {(t.variant, t.subject.machine, t.subject.name): t.verdict.word for t in times.tests}
    assert words["lazy", "quad-1t", "memmap_init"] == "faster"
    assert words["on-demand", "quad-64g", "reserve_pages"] == "slower"
    assert words["zero-check", "quad-4g", "setup_arch"] == "inconclusive"
    quick = compare_variants(harness.load(QUICK), CompareOptions()).families[0]
    words = {(t.variant, t.subject.machine, t.subject.name): t.verdict.word for t in quick.tests}
    assert words["grow", "quad-64g", "memmap_init"] == "faster"
    assert words["deferred", "quad-64g", "page_alloc_init_late"] == "slower"
    told = {(t.variant, t.subject.machine): t.verdict.word for t in memory.tests}
    assert told["lazy", "quad-1t"] == "less"
    assert told["deferred", "quad-1t"] == "equivalent"
    assert all(t.verdict.adjusted_p is None for t in memory.tests)
    assert not found.defects
    eager = next(
        g for g in found.growth if (g.clock, g.name, g.variant) == ("work", "memmap_init", "eager")
    )
    assert eager.line is not None and eager.line.straight
    assert eager.line.slope * 4096 == pytest.approx(27.137, abs=0.001)
    text = cover_letter(found, dataset)
    assert "6.12.117" in text


def test_each_base_has_its_own_baseline_unless_it_is_named() -> None:
    factors = {"base@6.12": 1.0, "new@6.12": 0.5, "base@7.3": 2.0, "new@7.3": 2.0}
    made = make(Recipe(factors, blocks=8, noise=0.005))
    found = words(compare_variants(made, OPTIONS))
    assert {key: word for key, word in found.items() if key[1] == "boot"} == {
        ("new@6.12", "boot"): "faster",
        ("new@7.3", "boot"): "equivalent",
    }
    across = words(compare_variants(made, CompareOptions(baseline="base@6.12")))
    assert [across[name, "boot"] for name in ("new@6.12", "base@7.3", "new@7.3")] == [
        *("faster", "slower", "slower"),
    ]


def told(variant: str, sources: tuple[str, ...], count: int, again: int = 0) -> Dataset:
    """A dataset by the work clock in which these sources tell a variant, the second some more."""
    made = make(Recipe({variant: 1.0}, 1, clock="work", phases={"boot": count}))
    rows = [
        made.phases.assign(source=source, instructions=count + number * again)
        for number, source in enumerate(sources)
    ]
    return replace(made, phases=pd.concat(rows, ignore_index=True))


def joined(*made: Dataset) -> Dataset:
    tables = {name: pd.concat([getattr(d, name) for d in made]) for name in ("runs", "phases")}
    return replace(made[0], **tables)


def test_what_marks_tell_is_never_beside_what_a_profile_tells() -> None:
    marked, unmarked = told("base", ("mark", "profile"), 100, 1), told("new", ("profile",), 60)
    found = compare_variants(joined(marked, unmarked), OPTIONS)
    (exact,) = found.exact
    assert (exact.subject.title, exact.count, exact.base_count) == ("boot (profile)", 60, 101)
    assert [r["source"] for r in rows(found) if r["name"] == "boot"] == ["profile"]
    assert not [s for s in found.suspects if s.rule == "source"]


def test_a_variant_that_only_another_source_tells_is_not_compared_and_that_is_said() -> None:
    found = compare_variants(
        joined(told("base", ("mark",), 100), told("new", ("profile",), 60)), OPTIONS
    )
    assert not found.exact
    (said,) = [s.detail for s in found.suspects if s.rule == "source"]
    assert said == ("new, work clock: boot: told by profile alone, of others by mark: not compared")


def test_two_datasets_are_compared_by_what_tells_both() -> None:
    mine, theirs = told("base", ("profile",), 60), told("base", ("mark", "profile"), 100, 1)
    (exact,) = compare_variants(mine, OPTIONS, theirs).exact
    assert (exact.subject.source, exact.count, exact.base_count) == ("profile", 60, 101)
    theirs = told("base", ("mark",), 100)
    found = compare_variants(mine, OPTIONS, theirs)
    assert not found.exact and [s.rule for s in found.suspects if s.rule == "source"]


def test_a_profile_holds_no_waits() -> None:
    """Whoever has not told idle from executed by marks has by a profile."""
    more, less = told("base", ("mark", "profile"), 10**9), told("new", ("profile",), 10**8)
    made = joined(more, less)
    made = replace(made, phases=made.phases.assign(idle=pd.NA))
    (exact,) = compare_variants(made, OPTIONS).exact
    assert exact.word == "changed"
