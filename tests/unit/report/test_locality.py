# SPDX-License-Identifier: GPL-2.0-only
"""The model of remote memory, and what the report says of counted stores."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dataset import dataset
from harness.model.experiment import Experiment
from harness.model.run import StoreCount
from harness.report import locality
from harness.report.locality import Work
from harness.report.render import render
from harness.results.folder import Results, StoredRun
from tests.support.records import a_run, lock

WORKS = st.lists(
    st.builds(Work, st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=8
)
RATIOS = st.floats(1, 4)
THREADS = st.integers(1, 64)


@given(WORKS, RATIOS, RATIOS, THREADS)
def test_a_longer_way_never_makes_it_faster(works, one, other, threads):
    near, far = sorted((one, other))
    assert locality.in_turn(works, near) <= locality.in_turn(works, far)
    assert locality.at_once(works, near, threads) <= locality.at_once(works, far, threads)


@given(WORKS)
def test_where_all_is_near_stores_are_counted_and_no_more(works):
    assert locality.in_turn(works, 1) == sum(work.stores for work in works)
    assert locality.at_once(works, 1) == max(work.stores for work in works)


@given(WORKS, RATIOS, THREADS)
def test_threads_share_and_nodes_overlap(works, ratio, threads):
    alone = locality.at_once(works, ratio)
    assert math.isclose(locality.at_once(works, ratio, threads) * threads, alone)
    turn = locality.in_turn(works, ratio)
    assert alone <= turn * (1 + 1e-12) and turn <= alone * len(works) * (1 + 1e-12)


@given(st.integers(0, 10**9), RATIOS)
def test_what_is_local_does_not_know_the_ratio(stores, ratio):
    assert Work(local=stores).cost(ratio) == stores
    assert math.isclose(Work(remote=stores).cost(ratio), stores * ratio)


def test_known_answers():
    works = [Work(100, 0), Work(0, 50)]
    assert locality.in_turn(works, 3) == 250
    assert locality.at_once(works, 3) == 150
    assert locality.at_once(works, 3, 2) == 75
    assert locality.at_once([], 3) == 0


def count(phase: str, cpu: int, memory: int | None, stores: int, page: int = 0) -> StoreCount:
    return StoreCount(
        phase=phase, cpu_node=cpu, memory_node=memory, page_node=page, stores=stores, bytes=stores
    )


EAGER = (count("memmap_init", 0, 0, 100), count("memmap_init", 0, 1, 300, page=1))
LATE = (
    count("memmap_init", 0, 0, 40),
    count("deferred_init", 0, 0, 120),
    count("deferred_init", 1, 1, 240, page=1),
    count("user_space", 1, 0, 999),
)


def counted(**stores: tuple[StoreCount, ...]) -> dataset.Dataset:
    group = {
        "variants": list(stores),
        "machines": ["m1"],
        "clocks": {"work": {}},
        "count_stores": True,
    }
    experiment = Experiment(name="x", description="d", baseline="eager", matrix=[group])
    runs = [
        StoredRun(
            a_run(variant=name, machine="m1", clock="work", run_id=name, stores=found),
            Path(name),
        )
        for name, found in stores.items()
    ]
    return dataset.tabulate(runs, lock().model_copy(update={"experiment": experiment}))


@pytest.fixture
def found() -> dict[str, locality.Boot]:
    return locality.boots(counted(late=LATE, eager=EAGER).stores, ["eager", "late"])["m1"]


def test_shares_are_of_the_cpu_against_the_memory(found):
    table = locality.share_table(found, "m1")
    assert table.head == ["phase", "eager", "late"]
    assert table.rows == [
        ["memmap_init", "400 (75.0)", "40 (0.0)"],
        ["deferred_init", "-", "360 (0.0)"],
        ["user_space", "-", "999 (100.0)"],
        ["until user space", "400 (75.0)", "400 (0.0)"],
    ]


def test_the_model_tells_locality_from_threads(found):
    def gain(ratio: float, threads: int = 0) -> float:
        return locality.gain(found, "eager", "late", ratio, threads)

    assert gain(1) == 1 and gain(2) == 700 / 400
    assert gain(2, 1) == 700 / (40 + 240) and gain(2, 4) == 700 / (40 + 60)
    table = locality.model_table(found, "eager", "m1")
    assert table.rows[0] == ["eager", "one in all", *["1.00"] * 5]
    assert [row[:2] for row in table.rows[1:]] == [
        ["late", words] for words in ("one in all", "1 a node", "4 a node", "16 a node")
    ]
    assert table.rows[1][2:] == ["1.00", "1.38", "1.75", "2.50", "3.25"]
    assert "model, not measured" in table.caption


def test_what_lies_nowhere_or_elsewhere_is_told_and_not_counted():
    odd = (*EAGER, count("memmap_init", 0, None, 7), count("memmap_init", 0, 0, 5, page=1))
    (shares, _) = locality.locality_sections(counted(eager=odd))
    assert shares.tables[0].rows[0] == ["memmap_init", "405 (74.1)"]
    assert shares.notes[1:] == (
        "7 stores went to memory that is known as no node's, and are left out.",
        "5 stores went to struct pages that lie on another node than their page.",
    )


def test_the_report_has_both_sections_and_calls_the_model_one(tmp_path):
    found = counted(eager=EAGER, late=LATE)
    for page in render(Results(tmp_path), found):
        assert "Locality of the memmap" in page and "A model, not a measurement" in page
    nothing = replace(found, stores=found.stores.iloc[:0])
    assert not list(locality.locality_sections(nothing))


def test_boots_that_failed_do_not_count(found):
    failed = counted(eager=EAGER).stores.assign(outcome="panic")
    assert locality.boots(failed, ["eager"]) == {}


REFERENCE = Path(__file__).parents[3] / "results/reference/locality"


def test_the_document_says_what_the_dataset_says():
    tables = dataset.load_tables(REFERENCE)
    mine = locality.boots(tables["stores"], [])["quad-64g"]
    text = " ".join((REFERENCE.parents[2] / "docs/locality.md").read_text().split())

    def stores(variant: str) -> str:
        return locality._share(locality._total(mine[variant]))

    def gain(variant: str, ratio: float, threads: int = 0) -> float:
        return locality.gain(mine, "eager", variant, ratio, threads)

    (eager, far), (migrate, near) = (stores(v).split(" (") for v in ("eager", "node-migrate"))
    twice, four = gain("node-migrate", 2), gain("node-migrate", 4)
    both, more = gain("deferred", 2, 1), gain("deferred", 2, 4)
    for phrase in (
        f"as often as `eager`, {migrate} against {eager}:",
        f"it takes {1 / gain('node-migrate', 1):.2f} times as long",
        f"But {far[:-1]} % of the stores of `eager` are remote, and {near[:-1]} % of its own",
        f"{twice:.2f} where a remote store takes twice a local one, {four:.2f} where",
        f"{both:.2f} at the same factor of 2 with one thread a node, {more:.2f} with four",
        f"Of the {both:.2f}, {twice:.2f} is locality and {both / twice:.2f} that",
        f"{gain('lazy', 1):.2f} for `lazy`",
        f"Its {stores('lazy').split(' (')[0]} stores",
        f"more than `deferred`: {stores('node-memset').split(' (')[0]}.",
    ):
        assert phrase in text, phrase


def test_what_the_dataset_is_relied_on_for():
    stores = dataset.load_tables(REFERENCE)["stores"]
    found = stores[stores["phase"] == "deferred_init"].set_index("variant")
    for variant in ("deferred", "node-memset", "node-migrate"):
        mine = found.loc[variant]
        local = mine["cpu_node"] == mine["memory_node"]
        assert mine.loc[local, "stores"].sum() > 0.9999 * mine["stores"].sum()
    eager = stores[(stores["variant"] == "eager") & (stores["phase"] == "memmap_init")]
    assert set(eager["cpu_node"]) == {0} and set(eager["memory_node"]) == {0, 1, 2, 3}
    pages = {"quad-16g": 4 << 20, "quad-64g": 16 << 20}
    for machine, total in eager.groupby("machine")["bytes"].sum().items():
        assert total == pytest.approx(64 * pages[machine], rel=0.001)
    for machine, total in eager.groupby("machine")["stores"].sum().items():
        assert total == pytest.approx(9 * pages[machine], rel=0.001)
