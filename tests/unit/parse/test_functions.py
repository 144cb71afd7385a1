# SPDX-License-Identifier: GPL-2.0-only
"""Phases by functions, for each range of kernels."""

import pytest

from harness.parse.functions import chosen, phase_functions
from harness.parse.phases import MARKS, TREES


def test_every_table_has_phases_of_the_marks_alone():
    for version in ("4.19", "5.10", "6.1.0", "6.12.117-1~deb12u1", "7.3", "9.0"):
        assert phase_functions(version).keys() <= set(MARKS)
    for since, tree in TREES.items():
        # `boot` is all of it, and no function.
        assert phase_functions(f"{since[0]}.{since[1]}").keys() == tree.keys() - {"boot"}


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
