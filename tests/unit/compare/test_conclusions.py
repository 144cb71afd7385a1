# SPDX-License-Identifier: GPL-2.0-only
"""What is said in sentences has a verdict behind it, and what has none is not said."""

import pytest

import harness
from harness.compare.compare import CompareOptions, compare_variants
from harness.compare.conclusions import conclusions, lead
from tests.support.checkout import ROOT
from tests.support.synthetic import Recipe, make

OPTIONS = CompareOptions(baseline="base")


def said(recipe: Recipe) -> list[str]:
    return conclusions(compare_variants(make(recipe), OPTIONS))


def test_three_blocks_already_tell_memory_apart() -> None:
    recipe = Recipe({"base": 1.0, "new": 0.5}, blocks=3, rss={"new": 0.25})
    assert said(recipe) == [
        "new: QEMU's memory is 4 times less than base's on small (256MiB, not 1GiB).",
        "By the time clock 2 of 2 figures have fewer than 6 blocks and so no verdict;"
        " `harness run --until 2%` adds blocks.",
    ]


def test_times_and_counts_of_the_largest_machine() -> None:
    recipe = Recipe({"base": 1.0, "new": 1.3}, machines=("small", "large"))
    assert said(recipe) == [
        "new: memmap_init is 30% slower than base's on large (10.40 s, not 8.00 s).",
        "new: boot is 30% slower than base's on large (41.60 s, not 32.00 s).",
    ]
    work = Recipe({"base": 1.0, "new": 0.25}, clock="work", phases={"memmap_init": 10**9})
    assert said(work) == [
        "new: memmap_init takes 4 times fewer instructions than base's on small (250 M, not 1 G)."
    ]


def test_no_sentence_for_what_is_the_same_or_open() -> None:
    assert said(Recipe({"base": 1.0, "new": 1.0}, noise=0.002)) == []
    assert said(Recipe({"base": 1.0, "new": 1.05}, noise=0.3)) == []
    tiny = Recipe({"base": 1.0, "new": 1.0001}, clock="work", phases={"memmap_init": 10**9})
    assert said(tiny) == []


def test_a_kernel_that_does_not_boot_comes_first_and_is_never_only_faster() -> None:
    failed = frozenset(("new", n) for n in range(6))
    found = said(Recipe({"base": 1.0, "new": 0.5}, blocks=12, failed=failed, noise=0.001))
    assert found[0] == (
        "new fails more on small by the time clock: 6 of 12 boots came to their end, of base 12 of"
        " 12."
    )
    assert all(line.endswith("but fails more often.") for line in found[1:])


@pytest.mark.parametrize("name", ["quick", "scale"])
def test_the_committed_datasets_say_something(name: str) -> None:
    found = compare_variants(harness.load(ROOT / "results/reference" / name), CompareOptions())
    assert any("QEMU's memory" in line for line in conclusions(found))
    assert any("fewer instructions" in line for line in conclusions(found))


def test_a_page_begins_with_three_sentences_the_largest_difference_of_each_variant_first() -> None:
    recipe = Recipe({"base": 1.0, "small": 1.3, "large": 4.0, "third": 0.5, "fourth": 1.1})
    first = lead(compare_variants(make(recipe), OPTIONS))
    assert [line.partition(":")[0] for line in first] == ["large", "third", "small"]
    open_ = lead(compare_variants(make(Recipe({"base": 1.0, "new": 1.3}, blocks=3)), OPTIONS))
    assert len(open_) == 1
    assert "no verdict" in open_[0]
