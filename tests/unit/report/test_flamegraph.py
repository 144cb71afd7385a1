# SPDX-License-Identifier: GPL-2.0-only
"""The page of a profile: complete, escaped, and closed to all but its own script."""

import json

from harness.compare.functions import explain
from harness.report.flamegraph import Flame, cost_table, difference_table, flame_page, flames
from tests.support.page import Tags
from tests.support.profiles import DEFERRED, EAGER, profile

HOSTILE = "a$</script><script>alert(1)</script>"


def test_profiles_lie_over_each_other():
    found = flames([profile(DEFERRED), profile(EAGER)])
    assert Flame(2, "memmap_init_range", (100, 700)) in found
    assert Flame(2, "deferred_init_memmap", (500, 0)) in found
    names = [flame.function for flame in found]
    assert names.index("setup_arch") == names.index("memmap_init_range") - 1


def test_what_nobody_could_see_is_left_to_its_callers():
    found = flames([profile(EAGER)], finest=10)
    assert {flame.function for flame in found} == {
        *("[firmware]", "start_kernel", "setup_arch", "memmap_init_range"),
        *("mm_core_init", "memblock_free_all"),
    }


def test_tables_tell_how_much_is_not_in_them():
    table = cost_table(profile(EAGER), 2)
    assert [row[0] for row in table.rows] == ["[firmware]", "memmap_init_range"]
    assert "6 more functions have 396 (19.8 %)" in table.notes
    found = difference_table(explain(profile(EAGER), profile(DEFERRED)))
    assert found.rows[0] == ("memmap_init_range", "100", "700", "-600", "43.5 %")


def test_the_page_loads_nothing_and_runs_its_own_script_alone():
    found = explain(profile(EAGER), profile(DEFERRED))
    text = flame_page("t", ("new", "old"), [profile(DEFERRED), profile(EAGER)], found, ["died"])
    tags = Tags.of(text)
    assert tags.hashes_of_scripts == tags.allowed and len(tags.scripts) == 1
    assert not {"link", "img", "iframe", "object"} & set(tags.names) and "://" not in text
    (data,) = tags.data
    assert json.loads(data)["whole"] == [profile(DEFERRED).total, profile(EAGER).total]
    assert "died" in text and text.count('class="flame"') == 2
    assert flame_page("t", ("new",), [profile(EAGER)]).count('class="flame"') == 1


def test_what_others_named_is_no_markup():
    page = flame_page(HOSTILE, (HOSTILE,), [profile(EAGER)], notes=[HOSTILE])
    assert "<script>alert" not in page
