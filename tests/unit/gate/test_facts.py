# SPDX-License-Identifier: GPL-2.0-only
"""What probes reported, sorted: at the begin, at the end, and what is missing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gate.facts import PAGE, SLACK, Facts, MissingFactError, State
from tests.support.checkout import ROOT
from tests.support.records import a_run

GOOD = [
    json.loads(line)
    for line in (ROOT / "tests/golden/gate/eager.jsonl").read_text().splitlines()
    if line
]


def facts(probes=GOOD):
    return Facts.of(a_run(probes=tuple(probes)))


def test_a_good_boot_has_no_problem_at_its_begin_or_end():
    found = facts()
    for state in (found.first, found.last):
        assert state.list_problems() == [] and state.census_problems() == []
        assert state.total == sum(z["managed_pages"] for z in state.zones.values()) * PAGE
    assert found.filled == sum(fill["filled_bytes"] for fill in found.fills.values()) > 0
    assert set(found.fills) == {node for node, _ in found.first.zones}


def test_what_comes_after_the_second_meminfo_is_the_end():
    probes = [{"probe": "meminfo", "mem_total_bytes": n} for n in (1, 2)]
    found = facts([probes[0], {"probe": "fill"}, probes[1]])
    assert (found.first.total, found.last.total) == (1, 2)
    alone = facts(probes[:1])
    assert alone.first.total == 1
    with pytest.raises(MissingFactError, match="meminfo did not report"):
        _ = alone.last.total


def test_what_the_guest_said_of_its_failure_is_the_reason():
    broken = {"probe": "zoneinfo", "error": "ENOENT", "reason": "no such file"}
    found = facts([{"probe": "meminfo", "mem_total_bytes": 1}, broken])
    with pytest.raises(MissingFactError, match="zoneinfo: ENOENT: no such file"):
        _ = found.first.zones
    with pytest.raises(MissingFactError, match="oom did not report"):
        _ = found.oom


def test_a_node_that_was_not_filled_is_named():
    probes = [p for p in GOOD if not (p["probe"] == "fill" and p.get("node") == 2)]
    with pytest.raises(MissingFactError, match=r"fill did not report nodes \[2\]"):
        _ = facts(probes).fills


@pytest.mark.parametrize(
    ("result", "word"), [("pass", "pass"), ("skip", "skip"), ("fail", "fail"), (7, "fail")]
)
def test_a_check_of_the_guest_that_is_no_pass_has_failed(result, word):
    probes = [{"probe": "check", "check": "thp", "result": result, "detail": "d"}]
    assert facts(probes).check("thp", "x") == (word, "d")
    with pytest.raises(MissingFactError, match="x did not report migration"):
        facts(probes).check("migration", "x")


def changed(probe, node, **keys):
    """The good boot where a probe of a node says something else at the begin."""
    probes = [dict(p) for p in GOOD]
    for found in probes:
        if found["probe"] == probe and found.get("node") == node:
            found.update({k: found.get(k, 0) + v for k, v in keys.items()})
            break
    return facts(probes).first


@pytest.mark.parametrize(
    ("probe", "keys", "said"),
    [
        ("freelist", {"buddy_pages": 2 * SLACK + 9999}, "on the lists"),
        ("freelist", {"typed_pages": 99999}, "pagetypeinfo has"),
        ("freelist", {"block_pages": -(10**7)}, "pageblocks of"),
        ("zoneinfo", {"managed_pages": 1}, "the zones manage"),
        ("zoneinfo", {"spanned_pages": -(10**7)}, "free, managed, present, spanned"),
    ],
)
def test_counts_that_contradict_each_other_are_named(probe, keys, said):
    problems = changed(probe, 1, **keys).list_problems()
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"free_mapped_pages": 3, "first_free_mapped_pfn": 7},
            "node 1: 3 free pages count as mapped",
        ),
        ({"hwpoison_pages": 2}, "node 1: 2 poisoned pages"),
    ],
)
def test_pages_that_are_free_and_in_use_are_named(keys, said):
    assert changed("census", 1, **keys).census_problems()[0].startswith(said)


BLOCK = 512


def state(lost, percpu):
    """Nodes with so many blocks without a flag, and pages on per-CPU lists."""
    census = [{"probe": "census", "node": n, "lost_blocks": count} for n, count in enumerate(lost)]
    zones = [
        {"probe": "zoneinfo", "node": n, "zone": "Normal", "percpu_pages": pages}
        for n, pages in enumerate(percpu)
    ]
    return State((*census, *zones), {})


counts = st.lists(st.integers(0, 50), min_size=3, max_size=3)


@given(mine=counts, theirs=counts, percpu=st.lists(st.integers(0, 5000), min_size=3, max_size=3))
def test_a_block_is_lost_where_neither_the_other_kernel_nor_a_list_has_it(mine, theirs, percpu):
    here, other = state(mine, percpu), state(theirs, [0, 0, 0])
    lost, both = here.lost_beside(other, BLOCK)
    assert both == (sum(mine), sum(theirs))
    assert lost == sum(
        max(0, a - b - p // BLOCK) for a, b, p in zip(mine, theirs, percpu, strict=True)
    )
    assert here.lost_beside(here, BLOCK)[0] == 0
