# SPDX-License-Identifier: GPL-2.0-only
"""Medians and spread."""

from pathlib import Path

import pytest

from harness.dataset import dataset
from harness.dataset.summary import Summary
from harness.model.run import Phase
from harness.results.folder import StoredRun
from tests.support.records import lock, stored, tabulated


@pytest.fixture
def found():
    return tabulated()


def test_a_phase_whose_calls_lie_far_apart_is_the_sum_of_its_calls():
    first = stored(("eager", "m1", "time"), 0, 1)
    pieces = Phase(name="hash_tables", source="mark", start=1, end=101, busy=7, calls=2, pages=1000)
    run = first.run.model_copy(update={"phases": (*first.run.phases, pieces)})
    found = dataset.tabulate([StoredRun(run, first.folder)], lock(), root=Path("results"))
    row = Summary.of(found.summary).phase(("eager", "m1", "time"), "hash_tables")
    assert row and row["median"] == 7
    per_page = found.phases.set_index("phase").loc["hash_tables", "ns_per_page"]
    assert per_page == 7e6


def test_a_failed_boot_does_not_enter_figures(found):
    cell = found.summary[(found.summary.variant == "grow") & (found.summary.clock == "work")]
    assert cell.kind.tolist() == ["boots"]
    assert (cell.failed.item(), cell.n.item()) == (1, 0)


def test_what_waits_on_the_work_clock_is_known_where_idle_is_not(found):
    work, key = ("eager", "m1", "work"), ("phase", "boot", "", "mark", "idle")
    before = Summary.of(found.summary)
    assert before.waits(work, "boot") and not before.waits(work, "memmap_init")
    assert not before.waits(("eager", "m1", "time"), "boot")
    told = Summary(before.rows | {(*work, *key): {"median": 0}})
    assert not told.waits(work, "boot")
