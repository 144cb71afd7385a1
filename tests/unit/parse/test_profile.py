# SPDX-License-Identifier: GPL-2.0-only
"""What a plugin counted by function and stack, and what is made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.parse.profile import Cost, Node, Span, read_profile
from tests.support.profiles import EAGER, profile, written

PARTS = (
    (0, "caller", 1, 1),
    (1, "work", 10, 2),
    (2, "callee", 3, 5),
    (1, "work.cold", 4, 1),
    (2, "callee", 7, 1),
    (1, "work.isra.0", 100, 1),
)


def test_a_function_has_its_own_and_that_of_all_it_calls():
    found = profile(EAGER)
    assert found.whole and not found.lost and found.total == sum(own for _, _, own, _ in EAGER)
    assert found.costs["start_kernel"] == Cost("start_kernel", 5, 1035, 1)
    assert found.costs["memmap_init_range"] == Cost("memmap_init_range", 700, 700, 4)
    assert list(found.costs)[:2] == ["[firmware]", "memmap_init_range"]


def test_parts_of_a_function_are_one_and_no_part_is_called():
    found = profile(PARTS)
    assert found.nodes == (
        Node(0, "caller", 1, 1),
        Node(1, "work", 114, 3),
        Node(2, "callee", 10, 6),
    )


def test_spans_of_parts_are_those_of_one_function():
    spans = {"work": (2, 2, 10, 40, 25), "work.isra.0": (1, 1, 5, 90, 30)}
    found, _ = read_profile(written(PARTS, spans=spans).encode())
    assert found and found.spans == {"work": Span(3, 3, 5, 90, 55)}
    assert found.without("caller").spans == found.spans


def test_what_calls_itself_counts_once():
    found = profile([(0, "a", 1, 1), (1, "b", 2, 1), (2, "a", 4, 1), (3, "b", 8, 1)])
    assert found.costs["a"] == Cost("a", 5, 15, 2)
    assert found.costs["b"] == Cost("b", 10, 14, 2)
    assert "cfn=b\ncalls=2 0\n0 14\n" in "".join(found.callgrind("linux", "pageinit"))


def test_a_phase_is_what_is_below_its_functions():
    found = profile(EAGER).below({"setup_arch", "mm_core_init"})
    assert found.nodes == (
        Node(0, "mm_core_init", 10, 1),
        Node(1, "memblock_free_all", 300, 1),
        Node(0, "setup_arch", 20, 1),
        Node(1, "memmap_init_range", 700, 4),
    )
    assert profile(EAGER).below({"nowhere"}).nodes == ()
    assert profile(EAGER).without("setup_arch").total == found.total - 720 + 966


def test_other_programs_read_it():
    found = profile(EAGER)
    lines = list(found.collapsed())
    assert "start_kernel;setup_arch;memmap_init_range 700\n" in lines
    assert sum(int(line.split()[-1]) for line in lines) == found.total
    text = "".join(found.callgrind("linux console=ttyS0", "pageinit 1"))
    assert text.startswith("# callgrind format\nversion: 1\n")
    # Every function has to have a file, or callgrind_annotate complains at each.
    assert f"summary: {found.total}\n\nfl=vmlinux\n\nfn=" in text
    assert "fn=setup_arch\n0 20\ncfn=memmap_init_range\ncalls=4 0\n0 700\n" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no profile"),
        (written(EAGER)[:-4], "or not all of it"),
        (written(EAGER).replace("node 1 3 20", "node 3 3 20"), "no place for"),
        (written(EAGER).replace("node 1 3 20", "node 1 99 20"), "no place for"),
        (written(EAGER).replace("node 1 3 20", "node 1 3 21"), "instructions in nodes, of"),
        (written(EAGER).replace("function setup_arch", "function a;b"), "cannot read"),
        (written(EAGER).replace("node 1 3 20", "node 1 0 20"), "no place for"),
        (written(EAGER).replace("span 3 ", "span 0 "), "no place for"),
        (written(EAGER).replace("span 3 1 ", "span 3 -1 "), "cannot read"),
    ],
)
def test_what_is_damaged_is_named(text, said):
    found, fault = read_profile(text.encode())
    assert found is None and said in fault


def test_a_boot_that_ended_early_says_so():
    found, _ = read_profile(written(EAGER, "early", lost=3).encode())
    assert not found.whole and found.lost == 3


@given(st.binary(max_size=400))
def test_no_bytes_end_the_reader(data):
    found, fault = read_profile(b"functions-by-stack 1\n" + data)
    assert (found is None) == bool(fault)


@pytest.mark.parametrize(
    ("line", "event", "unit"),
    [
        ("", "instructions", "guest instructions"),
        ("counts stores\n", "stores", "guest stores"),
        ("counts misses of 33554432\n", "misses", "misses of a cache of 32MiB"),
    ],
)
def test_what_is_counted_stays_with_what_is_made_of_it(line, event, unit):
    head, _, rest = written(EAGER).partition("\n")
    found, fault = read_profile(f"{head}\n{line}{rest}".encode())
    assert found, fault
    for each in (found, found.without("[firmware]"), found.below(["start_kernel"])):
        assert (each.event, each.unit) == (event, unit)
    assert f"events: {event.title()}\n" in "".join(found.callgrind("", ""))


@pytest.mark.parametrize("line", ["counts loads", "counts misses", "counts stores of 5"])
def test_counts_of_another_kind_are_refused(line):
    head, _, rest = written(EAGER).partition("\n")
    found, fault = read_profile(f"{head}\n{line}\n{rest}".encode())
    assert found is None and line in fault
