# SPDX-License-Identifier: GPL-2.0-only
"""A comparison as flat rows: every question once, in the columns that are promised."""

import json
import math

import pytest

from harness.compare import CompareOptions, compare_variants
from harness.compare.export import COLUMNS, document, improvements, regressions, rows
from harness.dataset import dataset
from tests.support.checkout import ROOT
from tests.support.synthetic import MACHINES, Recipe, make

OPTIONS = CompareOptions(baseline="base")
NAMES = {column.name for column in COLUMNS}


def compared(factors, **recipe):
    return compare_variants(make(Recipe(factors, **recipe)), OPTIONS)


FOUND = {
    "time": compared({"base": 1.0, "base@2": 1.0, "new": 0.5, "worse": 2.0}, blocks=8, noise=0.01),
    "few": compared({"base": 1.0, "new": 0.5}, blocks=3, noise=0.01),
    "work": compared({"base": 1.0, "new": 2.0}, clock="work", phases={"boot": 10**9}),
    "fails": compared({"base": 1.0, "new": 1.0}, failed=frozenset(("new", n) for n in range(8))),
    "sizes": compared({"base": 1.0, "new": 0.5}, machines=tuple(MACHINES)),
}


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_rows_have_the_columns_that_are_promised(found):
    told = rows(found)
    assert told and all(set(row) <= NAMES for row in told)
    keys = [
        (r["kind"], r["machine"], r["clock"], r["name"], r["metric"], r["variant"]) for r in told
    ]
    assert len(set(keys)) == len(keys)
    assert all(row["verdict"] for row in told)


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_a_document_is_json_without_a_number_that_json_lacks(found):
    text = json.dumps(document(found), allow_nan=False)
    told = json.loads(text)
    assert len(told["rows"]) == len(rows(found))
    assert not [row for row in told["rows"] if None in row.values()]


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_nothing_is_better_and_worse_and_no_second_arm_is_either(found):
    def keys(rows):
        return {(r["kind"], r["machine"], r["name"], r["variant"]) for r in rows}

    better, worse = keys(improvements(found)), keys(regressions(found))
    assert not better & worse
    assert not [key for key in better | worse if key[-1].endswith("@2")]


def test_what_is_twice_as_slow_is_worse_and_half_is_better():
    found = FOUND["time"]
    assert {row["variant"] for row in regressions(found)} == {"worse"}
    assert {row["variant"] for row in improvements(found)} == {"new"}
    assert {row["variant"] for row in regressions(FOUND["work"])} == {"new"}
    assert [row["verdict"] for row in regressions(FOUND["fails"])] == ["does not boot"]


def test_a_ratio_lies_within_its_interval_and_says_what_that_is():
    for name, word in (("time", "95 %"), ("few", "range")):
        tested = [row for row in rows(FOUND[name]) if row["kind"] == "time"]
        assert {row["interval"] for row in tested} == {word}
        assert all(row["ratio_low"] <= row["ratio"] <= row["ratio_high"] for row in tested)
        assert all(
            math.isclose(row["value"] / row["base"], row["ratio"], rel_tol=0.1) for row in tested
        )
        assert all((row["difference"] < 0) == (row["ratio"] < 1) for row in tested)


def test_a_fit_is_in_the_document_with_where_it_misses():
    (boot,) = [
        g
        for g in document(FOUND["sizes"])["growth"]
        if (g["name"], g["variant"]) == ("boot", "new")
    ]
    assert boot["fit"] == "straight" and len(boot["misses"]) == boot["sizes"] == 3
    few = document(FOUND["time"])["growth"]
    assert few and all(g["fit"].startswith("not fitted: 1 sizes") for g in few)


def test_the_committed_dataset_has_every_kind_of_row():
    found = compare_variants(dataset.load(ROOT / "results/reference/quick"), CompareOptions())
    assert {row["kind"] for row in rows(found)} >= {"time", "memory", "work", "boots"}
