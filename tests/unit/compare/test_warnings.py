# SPDX-License-Identifier: GPL-2.0-only
"""What makes a dataset suspect."""

from dataclasses import replace

import pandas as pd
import pytest

from harness.compare.compare import CompareOptions, compare_variants
from harness.compare.series import series_of
from harness.compare.verdict import Interest
from harness.compare.warnings import suspects
from harness.model import STOOD_STILL
from tests.support.synthetic import Recipe, make

OPTIONS = CompareOptions(baseline="base")


@pytest.mark.parametrize(
    ("rule", "changes", "block"),
    [
        ("changed", {("base", 3): {"qemu_version": "9.0"}}, 3),
        ("changed", {("new", 2): {"host_cpu": "other"}}, 2),
        ("load", {("base", 0): {"load_1min": 1.9}}, None),
        ("others", {("new", 5): {"host_others_s": 4.0}}, 5),
        ("steal", {("base", 4): {"host_steal_s": 0.3}}, 4),
        ("THP", {("new", 0): {"host_thp": True}}, None),
        ("stopped", {("new", 1): {"reason": f"{STOOD_STILL} 20.0 s"}}, 1),
        ("pages", {("new", 2): {"host_minor_faults": 4_000_000, "host_system_s": 12.0}}, 2),
        ("RSS", {("new", 2): {"host_memory_bytes": int((1 << 30) / 0.86)}}, None),
        ("apart", {("base", 2): {"started_utc": "2026-01-05T00:00:00Z"}}, 2),
    ],
)
def test_suspects_by_rule(rule, changes, block) -> None:
    factors = {"base": 1.0, "new": 1.0}
    assert not compare_variants(make(Recipe(factors)), OPTIONS).suspects
    found = compare_variants(make(Recipe(factors, changes=changes)), OPTIONS).suspects
    # A boot of later days is apart, and the clock has gone back for the next one.
    also = {"clock"} if rule == "apart" else set()
    assert {suspect.rule for suspect in found} == {rule} | also
    assert {suspect.block for suspect in found} == {block}


def test_a_node_whose_pages_cost_more_is_named() -> None:
    """As node 3 of a terabyte did, where the host ran short: 170 ns, the others 38."""
    made = make(Recipe({"base": 1.0}))

    def nodes(costs, pages=1 << 20):
        about = made.phases[made.phases["phase"] == "memmap_init"]
        rows = [
            about.assign(node=node, ns_per_page=cost, pages=pages)
            for node, cost in enumerate(costs)
        ]
        phases = pd.concat([made.phases, *rows], ignore_index=True)
        found = compare_variants(replace(made, phases=phases), OPTIONS).suspects
        return [(s.rule, s.detail) for s in found]

    assert nodes([36.0, 38.0, 39.0, 70.0]) == []
    assert nodes([36.0, 38.0, 39.0, 170.0], pages=1000) == []
    said = "base: a page of node 3 took 170 ns in memmap_init, of the others 38 ns"
    assert nodes([36.0, 38.0, 39.0, 170.0]) == [("node", said)]


def baseline_boots(values: list[float]) -> list[tuple[str, int | None]]:
    made = make(Recipe({"base": 1.0}, blocks=len(values), phases={"boot": 1.0}))
    made.phases["duration_s"] = values
    return [(s.rule, s.block) for s in compare_variants(made, OPTIONS).suspects]


def test_drift_noise_and_outliers_of_the_baseline() -> None:
    assert baseline_boots([1.00, 1.01, 0.99, 1.00, 1.01, 0.99, 1.0, 1.0]) == []
    assert baseline_boots([1.00, 1.02, 1.03, 1.05, 1.06, 1.08, 1.09]) == [("drift", None)]
    assert baseline_boots([1.0, 2.0, 1.2, 1.7, 0.9, 1.4, 1.1, 1.6]) == [("noise", None)]
    assert baseline_boots([1.00, 1.01, 0.99, 1.50, 1.01, 0.99, 1.0]) == [("outlier", 3)]


def test_a_clock_that_went_back_is_named():
    recipe = Recipe({"base": 1.0, "new": 1.0})
    good = make(recipe)
    jump = {("new", 3): {"started_utc": "2026-01-01T00:00:30Z"}}
    bad = make(Recipe(recipe.factors, changes=jump))

    def named(dataset):
        found = suspects(dataset, series_of(dataset), "base", lambda name: Interest())
        return [(s.rule, s.block) for s in found if s.rule == "clock"]

    assert named(good) == []
    assert named(bad) == [("clock", 3)]


def test_a_block_that_was_recorded_again_is_no_clock_that_went_back() -> None:
    """It comes after all others, and its boots one after the other as in them."""
    names = ("base", "new")
    later = {(name, 2): {"started_utc": f"2026-01-05T00:0{n}:00Z"} for n, name in enumerate(names)}
    made = make(Recipe(dict.fromkeys(names, 1.0), changes=later))
    assert not compare_variants(made, OPTIONS).suspects
