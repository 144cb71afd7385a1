# SPDX-License-Identifier: GPL-2.0-only
"""The figures of every boot as one long table."""

import pandas as pd
import pytest

from harness.dataset.dataset import load, load_observed
from harness.dataset.observations import (
    BUSY,
    CELL,
    GROWN,
    METRICS,
    OWN,
    SUBJECT,
    observe,
    own,
    untold,
)
from harness.model import GOOD
from harness.parse import SCATTERED
from tests.support.checkout import ROOT
from tests.support.records import tabulated
from tests.support.synthetic import Recipe, make


@pytest.fixture(scope="module")
def found():
    return tabulated()


@pytest.fixture(scope="module")
def seen(found):
    return observe(found.runs, found.phases, found.probes)


def test_an_observation_has_a_cell_a_subject_and_a_value(seen):
    assert set(seen.columns) == {*CELL, "block", *SUBJECT, "value"}
    assert len(seen) and not seen[[*CELL, "block", "metric", "value"]].isna().any().any()
    assert not seen.duplicated([*CELL, "block", *SUBJECT]).any()
    told = {metric for metrics in METRICS.values() for metric in metrics}
    assert set(seen["metric"]) <= told | {"memory_bytes"}


def test_boots_that_failed_and_warm_ups_are_left_out(found, seen):
    good = found.runs[found.runs["outcome"].isin(GOOD) & ~found.runs["warmup"]]
    key = [*CELL, "block"]
    assert set(map(tuple, seen[key].to_numpy())) == set(map(tuple, good[key].to_numpy()))
    assert len(good) < len(found.runs)
    warm = found.runs.assign(warmup=True)
    phases, probes = (t.assign(warmup=True) for t in (found.phases, found.probes))
    assert observe(warm, phases, probes).empty


def test_a_clock_has_its_own_metrics(seen):
    phases = seen[seen["kind"] == "phase"]
    for clock in ("time", "work"):
        mine = set(phases["metric"][phases["clock"] == clock])
        assert mine and mine <= set(METRICS["phase", clock])
        assert OWN[clock] in mine


def nodes(*spans):
    """A phase that nodes have alone: start and end of each."""
    made = make(Recipe({"base": 1.0}, blocks=1, phases={"deferred_init": 1.0}))
    rows = [
        made.phases.assign(node=n, start_s=a, end_s=b, duration_s=b - a)
        for n, (a, b) in enumerate(spans)
    ]
    table = observe(made.runs, pd.concat(rows, ignore_index=True), made.probes)
    mine = table[(table["name"] == "deferred_init") & (table["metric"] == "duration_s")]
    return dict(zip(mine["node"], mine["value"], strict=True))


def test_of_nodes_there_is_the_slowest_and_the_whole():
    assert nodes((0.0, 2.0), (1.0, 4.5)) == {"max": 3.5, "span": 4.5}
    assert nodes((1.0, 2.0)) == {"max": 1.0, "span": 1.0}


def test_only_what_is_asked_for_is_observed(found):
    asked = dict.fromkeys(METRICS, ()) | {("host", ""): ("host_rss_peak_bytes",)}
    table = observe(found.runs, found.phases, found.probes, asked)
    # From the first start to the last end is what a phase of nodes takes, whatever is asked.
    assert set(table["metric"][table["node"] != "span"]) == {"host_rss_peak_bytes"}


def test_what_a_phase_takes_is_its_calls_where_they_lie_far_apart():
    for clock in ("time", "work"):
        assert own("boot", clock) == OWN[clock]
        assert {own(name, clock) for name in SCATTERED} == {BUSY[clock]}
    assert GROWN in METRICS["phase", "time"] and GROWN not in METRICS["phase", "work"]


def test_waits_that_nobody_recorded_apart_are_known():
    made = make(
        Recipe({"base": 1.0, "new": 1.0}, clock="work", phases={"boot": 9, "memmap_init": 1})
    )
    assert untold(made.phases) == frozenset()
    mine = made.phases["variant"] == "new"
    hidden = made.phases.assign(idle=made.phases["idle"].where(~mine))
    assert untold(hidden) == {("new", "boot")}
    timed = make(Recipe({"base": 1.0}))
    assert untold(timed.phases) == frozenset()


def test_what_is_not_observed_need_not_be_read():
    folder = ROOT / "results/reference/quick"
    whole, part = load(folder), load_observed(folder)
    assert 0 < len(part.probes) < len(whole.probes) / 2
    for made in (whole, part):
        made.probes["value"] = None  # what no observation comes from
    seen = [observe(made.runs, made.phases, made.probes) for made in (whole, part)]
    pd.testing.assert_frame_equal(*seen)
    pd.testing.assert_frame_equal(whole.runs, part.runs)
