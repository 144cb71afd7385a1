# SPDX-License-Identifier: GPL-2.0-only
"""Which functions explain a difference."""

from harness.compare.functions import ENOUGH, explain
from tests.support.profiles import DEFERRED, EAGER, profile


def test_the_functions_add_up_to_the_difference():
    found = explain(profile(EAGER), profile(DEFERRED))
    assert found.difference == -362 == sum(each.difference for each in found.differences)
    assert (
        str(found)
        == "memmap_init_range -600, deferred_init_memmap +500, memblock_free_all -270, 1 other +8"
    )


def test_the_same_profile_has_nothing_to_explain():
    found = explain(profile(EAGER), profile(EAGER))
    assert found.differences == () and str(found) == "no function differs"


def test_few_functions_are_named_and_the_rest_is_one_figure():
    many = [(0, f"f{n:02}", 100 - n, 1) for n in range(60)]
    found = explain(profile(many[:1]), profile(many))
    assert len(found.telling) == 5
    assert str(found).endswith(", 54 others +3645")
    told = explain(profile(EAGER), profile(DEFERRED)).telling
    assert sum(abs(each.difference) for each in told) >= ENOUGH * 1378
