# SPDX-License-Identifier: GPL-2.0-only
"""A comparison in words and numbers: signs, units, and what an interval is."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.compare import CompareOptions, compare_variants
from harness.dataset import dataset
from harness.report.text import (
    cover_letter,
    growth_tables,
    looked,
    percent,
    signed,
    slope,
    spread,
    tables,
    verdict_tables,
)
from harness.units import GIB
from tests.support.checkout import ROOT
from tests.support.synthetic import MACHINES, Recipe, make

OPTIONS = CompareOptions(baseline="base")


@given(ratio=st.floats(1e-6, 1e6))
def test_a_change_has_its_sign_and_what_is_tenfold_is_a_factor(ratio):
    said = percent(math.log(ratio))
    if said.startswith("x"):
        assert float(said[1:]) == pytest.approx(ratio, rel=0.01) and ratio >= 10
    else:
        assert re.fullmatch(r"[+-]\d+\.\d%", said)
        assert float(said[:-1]) == pytest.approx((ratio - 1) * 100, abs=0.06)


@given(value=st.floats(-1e6, 1e6))
def test_a_difference_is_told_by_its_size_and_its_sign(value):
    said = signed(value, "duration_s")
    assert said[0] == ("-" if value < 0 else "+") and not said[1:].startswith(("+", "-"))
    assert said[1:] == signed(-value if value < 0 else value, "duration_s")[1:]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (None, "-"),
        ({"median": None, "n": 0}, "-"),
        ({"median": 1.5, "n": 1, "min": 1.5, "max": 1.5}, "1.50 s"),
        ({"median": 1.5, "n": 3, "min": 1.5, "max": 1.5}, "1.50 s"),
        ({"median": 1.5, "n": 3, "min": 1.25, "max": 2.0}, "1.50 s [1.25 s, 2.00 s]"),
    ],
)
def test_a_spread_is_told_where_boots_differ(row, said):
    assert spread(row, "duration_s") == said


@pytest.mark.parametrize(
    ("value", "metric", "said"),
    [
        (1 / GIB, "duration_s", "1e+03 ms/GiB = 1.02e+03 s/TiB"),
        ((1 << 20) / GIB, "host_rss_peak_bytes", "1 MiB/GiB"),
        (27.15 / 4096, "instructions", "27.15 instructions/page"),
    ],
)
def test_a_slope_has_the_unit_that_people_use(value, metric, said):
    assert slope(value, metric) == said
    assert said.startswith(slope(value, metric, unit=False))


def test_every_table_has_a_row_and_a_title():
    factors, failed = {"base": 1.0, "new": 0.5, "bad": 1.0}, frozenset(("bad", b) for b in range(8))
    made = make(Recipe(factors, noise=0.01, failed=failed, machines=tuple(MACHINES)))
    found = compare_variants(made, OPTIONS)
    shown = list(tables(found, 64 * GIB))
    assert all(table.rows or table.notes for table in shown)
    titles = " ".join(table.title for table in shown)
    assert "time clock" in titles and "boots that came to their end" in titles
    assert "growth with memory" in titles
    for table in shown:
        assert all(len(row) == len(table.head) for row in table.rows)


def test_fewer_than_six_blocks_are_a_range_and_say_how_sure_that_is():
    made = make(Recipe({"base": 1.0, "new": 0.5}, blocks=3))
    (table, *_) = verdict_tables(compare_variants(made, OPTIONS))
    at = table.head.index("interval")
    assert all(row[at].startswith("range ") for row in table.rows)
    assert any("75% of experiments" in note for note in table.notes)
    assert any(f"{len(table.rows)} of {len(table.rows)} inconclusive" in n for n in table.notes)


def test_a_line_is_extended_and_says_so():
    made = make(Recipe({"base": 1.0, "new": 0.5}, blocks=8, machines=tuple(MACHINES)))
    growth = compare_variants(made, OPTIONS).growth
    (inside,) = growth_tables(growth, 16 * GIB)
    (beyond,) = growth_tables(growth, 1024 * GIB)
    assert inside.head[-1] == "at 16GiB" and beyond.head[-1] == "at 1TiB"
    assert not [row for row in inside.rows if "extrapolated" in row[-1]]
    told = [row[-1] for row in beyond.rows]
    assert all("extrapolated" in text or text.startswith("not told") for text in told)
    (bare,) = growth_tables(growth, None)
    assert bare.head[-1] == "straight?"


def test_where_there_was_no_look_there_is_no_table():
    assert list(looked([])) == []


def test_a_cover_letter_is_markdown_that_no_name_breaks():
    made = make(Recipe({"base": 1.0, "a|b*": 0.5}, blocks=8, noise=0.001))
    text = cover_letter(compare_variants(made, OPTIONS), made)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines and "a|b" not in text.replace("a\\|b", "")
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert len(widths) <= 4 and "Baseline: base." in text


def test_the_letter_of_a_dataset_says_what_it_rests_on():
    found = dataset.load(ROOT / "results/reference/quick")
    text = cover_letter(compare_variants(found, CompareOptions()), found)
    assert "seconds of emulation, not of hardware" in text
    for name in ("base_version", "qemu_version", "host_cpu"):
        assert str(found.runs[name].dropna().iloc[0]) in text
