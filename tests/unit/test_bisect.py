# SPDX-License-Identifier: GPL-2.0-only
"""The search for the first bad one, and thresholds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bisect import STATUS, Threshold, search
from harness.errors import UserError


@given(st.data())
def test_the_first_bad_one_is_among_the_suspects_and_alone_without_skips(data):
    last = data.draw(st.integers(1, 200))
    first = data.draw(st.integers(1, last))
    skipped = data.draw(st.sets(st.integers(1, max(1, last - 1)), max_size=20))
    asked = []

    def ask(point):
        assert 0 < point < last
        asked.append(point)
        return "skip" if point in skipped else "bad" if point >= first else "good"

    found = search(last, ask)
    assert first in found
    assert len(set(asked)) == len(asked)
    assert all(point in skipped for point in found[:-1])
    if not skipped:
        assert list(found) == [first]
        assert len(asked) <= math.ceil(math.log2(last)) if last > 1 else not asked


@pytest.mark.parametrize(
    ("text", "above", "bad", "good"),
    [
        ("1.1x", True, 111, 109),
        ("10%", True, 111, 109),
        ("10%", False, 89, 91),
        ("0.5x", False, 49, 51),
        ("120", True, 121, 119),
        ("1.2e2", True, 121, 119),
        ("1KiB", True, 1025, 1024),
    ],
)
def test_thresholds(text, above, bad, good):
    threshold = Threshold.parse(text, above, "--above")
    assert threshold.verdict(bad, 100) == "bad"
    assert threshold.verdict(good, 100) == "good"
    assert threshold.verdict(None, 100) == "skip"


@pytest.mark.parametrize("text", ["", "x", "-1x", "many", "1.1 y", "nan"])
def test_what_is_no_threshold(text):
    with pytest.raises(UserError, match="no threshold"):
        Threshold.parse(text, True, "--above")


def test_a_factor_needs_the_good_end():
    with pytest.raises(UserError, match="good end"):
        Threshold.parse("1.1x", True, "--above").verdict(1, None)


def test_what_git_bisect_run_takes_the_statuses_for():
    assert STATUS == {"good": 0, "bad": 1, "skip": 125}
