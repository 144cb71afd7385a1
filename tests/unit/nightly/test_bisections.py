# SPDX-License-Identifier: GPL-2.0-only
"""The command line that finds what is behind a regression."""

import pytest

from harness.nightly.bisections import bisections, patched, revision
from harness.nightly.changes import Tolerance, changes
from harness.nightly.history import FailedBoot
from tests.support.nights import Year, make


@pytest.mark.parametrize(
    ("version", "named"),
    [
        ("6.12.117-1~deb12u1", "v6.12.117"),
        ("6.13~rc4-1~exp1", "v6.13-rc4"),
        ("6.13.0-rc4-gabcdefabcdef", "abcdefabcdef"),
        ("6.12.0", "v6.12"),
        ("7.3-rc2", "v7.3-rc2"),
        ("; rm -rf", ""),
    ],
)
def test_the_tag_or_commit_of_a_base(version, named):
    assert revision(version) == named


A, B, C, D = (f"s/000{n}.patch {n}" for n in range(1, 5))
TWO = "2 patches changed or are new, from"


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ((A,), (A, B), ("one patch is new: s/0002.patch", "", "")),
        ((A, "s/0002.patch x", C), (A, B, C), ("one patch changed: s/0002.patch", "", "")),
        ((A, B), (A,), ("patches are gone: s/0002.patch", "", "")),
        (
            (A,),
            (A, B, C),
            (f"{TWO} s/0002.patch on", "s", "0001.patch"),
        ),
        ((), (A, B), (f"{TWO} s/0001.patch on", "s", "")),
        ((), (A, "t/0001.patch 1"), (f"{TWO} s/0001.patch on", "", "")),
    ],
)
def test_what_differs_between_two_stacks_of_patches(was, now, said):
    assert patched(was, now) == said


def found(year, **more):
    nights = [night.model_copy(update=more) for night in make(year)]
    return bisections(nights, changes(nights, Tolerance()))


def test_another_base_is_a_range_of_commits_and_the_largest_figure_is_asked_for():
    year = Year(
        nights=2,
        counts={"memmap_init": 10**7, "boot": 10**8},
        steps={"memmap_init": {1: 2.0}, "boot": {1: 1.2}},
        inputs={1: {"base": "6.12.2-1"}},
    )
    (one,) = found(year)
    assert one.command("~/linux x") == (
        "harness bisect --range v6.12.1..v6.12.2 --variant eager --machine small"
        " --metric memmap_init --above 50% --tree '~/linux x'"
    )
    assert one.why == "base: 6.12.1-1 -> 6.12.2-1"


def test_a_parameter_that_changed_is_named_and_nothing_is_bisected():
    year = Year(
        nights=2,
        counts={"boot": 10**8},
        steps={"boot": {1: 1.2}},
        inputs={1: {"variant eager boot": "quiet"}},
    )
    (one,) = found(year)
    assert (one.command(), one.why) == ("", "variant eager boot: (none) -> quiet")


def test_a_boot_that_fails_is_bisected_on_the_first_night_alone():
    panic = FailedBoot(variant="eager", machine="small", clock="work", block=0, outcome="panic")
    year = Year(nights=2, counts={"boot": 10**8}, inputs={1: {"base": "6.12.2-1"}})
    (one,) = found(Year(**vars(year) | {"failures": {1: panic}}))
    assert one.command().endswith("--metric boot --fails --tree TREE")
    assert not found(Year(**vars(year) | {"failures": {0: panic, 1: panic}}))
