# SPDX-License-Identifier: GPL-2.0-only
"""The search for the largest machine, on hosts that are made up, and with a QEMU that plays."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dataset import dataset
from harness.model.variant import MemoryModel, Variant
from harness.qemu.footprint import footprint
from harness.report import render
from harness.results.folder import Results, StoredRun
from harness.run import limit
from harness.units import GIB, TIB
from tests.support.records import lock, stored

LAST = len(limit.machines()) - 1


def test_sizes_are_an_eighth_apart_and_end_below_64_tib():
    found = list(limit.sizes())
    assert found == sorted(set(found)) and found[-1] == 60 * TIB
    assert all(b / a <= 1.125 for a, b in itertools.pairwise(found))
    assert all(size % (4 * GIB // 2) == 0 for size in found)
    assert {1 * TIB, 16 * TIB} <= set(found)


def search(first, last, boots):
    known = {}
    for place in limit.search(first, last, known):
        known[place] = boots(place)


@given(first=st.integers(0, LAST), largest=st.integers(-1, LAST))
def test_the_search_ends_at_the_edge_with_few_boots(first, largest):
    asked = []

    def boots(place):
        asked.append(place)
        return place <= largest

    search(first, LAST, boots)
    assert len(asked) == len(set(asked)) <= 14
    good = [place for place in asked if place <= largest]
    assert max(good, default=-1) == largest
    assert largest == LAST or largest + 1 in asked


@given(
    first=st.integers(0, LAST), known=st.lists(st.booleans(), min_size=LAST + 1, max_size=LAST + 1)
)
def test_the_search_ends_on_any_host(first, known):
    asked = []
    search(first, LAST, lambda place: asked.append(place) or known[place])
    assert len(asked) == len(set(asked)) <= LAST + 1


def test_a_good_guess_takes_two_boots():
    asked = []
    search(20, LAST, lambda place: asked.append(place) or place <= 20)
    assert asked == [20, 21]


def test_the_guess_is_what_is_predicted_to_fit():
    variant = Variant(name="v", description="d", prebuilt={"path": "x"}, memory_model=MemoryModel())
    machines = list(limit.machines().values())
    place = limit.guess(variant, 20 * GIB)
    needs = [footprint(machines[n], variant.memory_model, 0).total for n in (place, place + 1)]
    assert needs[0] <= 20 * GIB < needs[1]
    assert limit.guess(variant, 1) == 0


@pytest.fixture
def searched():
    plain = lock()
    asked = plain.experiment.model_copy(update={"search": True})
    here = plain.model_copy(update={"experiment": asked})
    runs = [
        stored(("eager", "m1", "time"), 0, 1),
        stored(("eager", "m2", "time"), 0, 1, "killed", "QEMU was killed by SIGKILL"),
        stored(("grow", "m2", "time"), 0, 1),
    ]
    return dataset.tabulate([StoredRun(r.run, r.folder) for r in runs], here)


def test_limits_say_how_far_and_why_no_further(searched, tmp_path):
    rows = searched.limits.astype(object).where(searched.limits.notna(), None).to_dict("records")
    assert [row["max_bootable_bytes"] for row in rows] == [1 * GIB, 2 * GIB]
    assert [row["next_bytes"] for row in rows] == [2 * GIB, None]
    assert rows[0]["next_outcome"] == "killed" and "SIGKILL" in rows[0]["next_reason"]
    assert rows[0]["host_rss_peak_bytes"] == 1 << 28
    page, text = render.render(Results(tmp_path), searched)
    assert "Largest machine" in page and "killed: QEMU was killed by SIGKILL" in text


def test_a_boot_that_stalled_on_a_full_host_says_so(searched):
    asked = searched.lock.model_copy(update={"experiment": searched.lock.experiment})
    stalled = stored(("grow", "m2", "time"), 0, 1, "stalled", "nothing new came").run
    for share, said in ((0.95, "the host was out of memory, QEMU held"), (0.5, "came")):
        total = int(max(sample.rss_bytes for sample in stalled.samples) / share)
        there = stalled.environment.model_copy(update={"host_memory_bytes": total})
        (_, row) = limit.rows([stalled.model_copy(update={"environment": there})], asked)
        assert said in row["next_reason"]
        assert ("host" in row["next_reason"]) == (share > 0.9)


def test_other_experiments_have_no_limits(tmp_path):
    found = dataset.tabulate([stored(("eager", "m1", "time"), 0, 1)], lock())
    assert found.limits.empty
    assert "Largest machine" not in render.render(Results(tmp_path), found)[0]


def test_the_search_names_the_base_that_it_is_on():
    assert limit.experiment(["lazy"]).variants == ("lazy",)
    assert limit.experiment(["lazy"], "7.3").variants == ("lazy@7.3",)
