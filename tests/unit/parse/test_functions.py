# SPDX-License-Identifier: GPL-2.0-only
"""Phases by functions, for each range of kernels."""

from itertools import pairwise

import pytest

from harness.parse.functions import _tables, asked, chosen, nameless, phase_functions, phases_of
from harness.parse.idle import IdleClock
from harness.parse.phases import MARKS, TREES
from harness.parse.profile import Profile, Span


def test_every_table_has_phases_of_the_marks_alone():
    for version in ("4.19", "5.10", "6.1.0", "6.12.117-1~deb12u1", "7.3", "9.0"):
        assert phase_functions(version).keys() <= set(MARKS)
    for since, tree in TREES.items():
        assert phase_functions(f"{since[0]}.{since[1]}").keys() == tree.keys()


def test_a_table_says_only_what_is_not_in_the_one_before_it():
    for before, after in pairwise(_tables()):
        same = [name for name in after.phases if after.phases[name] == before.phases.get(name)]
        assert not same, after.since


@pytest.mark.parametrize(
    ("version", "found"),
    [("5.15", ("mm_init",)), ("6.3", ("mm_init",)), ("6.12", ("mm_core_init",))],
)
def test_a_kernel_is_asked_for_what_it_has(version, found):
    assert chosen(phase_functions(version)["mm_core_init"], {"mm_init", "mm_core_init"}) == found


def test_what_was_inlined_is_taken_by_what_is_left_of_it():
    choices = phase_functions("6.12")
    assert chosen(choices["memmap_init"], {"memmap_init_range"}) == ("memmap_init_range",)
    assert chosen(choices["memmap_init"], {"setup_arch"}) == ()
    both = {"deferred_init_memmap", "deferred_grow_zone"}
    assert set(chosen(choices["deferred_init"], both)) == both


SPANS = {
    "start_kernel": Span(1, 0, 1000, 0, 0),
    "setup_arch": Span(1, 1, 1100, 1600, 500),
    "memmap_init_range": Span(3, 3, 1200, 1500, 250),
    "mem_init": Span(1, 1, 1700, 1900, 200),
    "vmalloc_init": Span(1, 1, 2000, 2100, 100),
    "alloc_large_system_hash": Span(2, 2, 1650, 2900, 70),
    "deferred_init_memmap": Span(2, 2, 3000, 5000, 3500),
    "deferred_grow_zone": Span(1, 1, 2800, 2900, 100),
    "do_one_initcall": Span(40, 40, 2500, 9000, 3000),
    "driver_init": Span(1, 1, 6000, 6100, 100),
    "do_sysctl_args": Span(1, 1, 9500, 9600, 100),
    "smp_init": Span(1, 0, 9700, 0, 0),
}


def test_phases_count_from_start_kernel_on():
    found = phases_of(Profile((), spans=SPANS), "6.1.192-3")
    told = {p.name: (p.start, p.end, p.busy, p.calls) for p in found}
    assert told == {
        "boot": (0, 8600, 8600, 1),
        "setup_arch": (100, 600, 500, 1),
        "memmap_init": (200, 500, 250, 3),
        # mm_init() was inlined: from the first to the last of what it calls.
        "mm_core_init": (700, 1100, 400, 1),
        "hash_tables": (650, 1900, 70, 2),
        "deferred_init": (1800, 4000, 3600, 3),
        # Early initcalls lie before driver_init(), and smp_init() between.
        "initcalls": (5000, 8000, 3000, 1),
    }
    assert {p.source for p in found} == {"profile"} and {p.idle for p in found} == {None}
    assert phases_of(Profile((), spans={}), "6.1") == ()


def test_what_was_idle_is_told_beside_what_was_executed():
    """An instruction takes 2 ns. The firmware waited 50 ns, which a late look noted; 700 ns pass
    idle when 4400 had been executed, 10 ns at 8000."""
    idle = IdleClock((2400 + 50, 8800 + 750, 16000 + 760), (50, 750, 760))
    spans = SPANS | {"smp_init": Span(1, 1, 2400, 2450, 50)}
    found = {p.name: p.idle for p in phases_of(Profile((), spans=spans), "6.1", 1, idle)}
    assert found["setup_arch"] == found["hash_tables"] == 0
    assert (found["deferred_init"], found["initcalls"], found["boot"]) == (350, 5, 355)


def test_phases_without_a_symbol_are_named_with_what_was_looked_for():
    known = set(asked()) - {"smp_init", "do_sysctl_args", "memmap_init_reserved_pages"}
    assert {name: list(map(str, c)) for name, c in nameless("6.12", known).items()} == {
        "smp_init": ["smp_init"]
    }
