# SPDX-License-Identifier: GPL-2.0-only
"""What all forms are made of, against the tables that it comes from."""

import math

import pytest

from harness.export.figures import BOOTS, boots, figures, in_seconds, memory
from harness.model import GOOD
from tests.support.synthetic import Recipe, make


def test_a_figure_has_a_value_for_each_block_that_booted():
    failed = frozenset({("new", 2)})
    made = make(Recipe({"base": 1.0, "new": 0.5}, blocks=5, failed=failed, noise=0.1))
    found = {(f.variant, f.name): f for f in figures(made)}
    assert list(found["base", "boot"].series.blocks) == [0, 1, 2, 3, 4]
    assert list(found["new", "boot"].series.blocks) == [0, 1, 3, 4]
    for figure in found.values():
        values = sorted(figure.series.values)
        assert (figure.low, figure.high) == (values[0], values[-1])
        assert figure.low <= figure.median <= figure.high


def test_no_figure_is_no_number():
    made = make(Recipe({"base": 1.0, "new": 1.0}, blocks=2))
    made.phases.loc[made.phases["variant"] == "new", "duration_s"] = math.inf
    assert {f.variant for f in figures(made) if f.name == "boot"} == {"base"}


def test_where_nothing_booted_there_are_boots_and_no_figures():
    failed = frozenset(("base", block) for block in range(2))
    made = make(Recipe({"base": 1.0}, blocks=2, failed=failed))
    assert list(figures(made)) == []
    (cell,) = boots(made)
    assert (cell.count, cell.failed, cell.outcomes) == (2, 2, {"panic": 2})


def test_every_boot_but_warm_ups_is_counted_once(broken):
    counted = ~broken.runs["warmup"]
    cells = list(boots(broken))
    assert sum(cell.count for cell in cells) == counted.sum()
    bad = counted & ~broken.runs["outcome"].isin(GOOD)
    assert sum(cell.failed for cell in cells) == bad.sum() == 1
    assert BOOTS not in {figure.name for figure in figures(broken)}


@pytest.mark.parametrize(
    ("metric", "scale", "bytes_"),
    [
        ("duration_s", 1.0, False),
        ("busy_s", 1.0, False),
        ("ns_per_page", 1e-9, False),
        ("instructions", None, False),
        ("instructions_per_page", None, False),
        ("host_rss_peak_bytes", None, True),
    ],
)
def test_a_metric_says_its_unit(metric, scale, bytes_):
    assert in_seconds(metric) == scale and memory(metric) is bytes_
