# SPDX-License-Identifier: GPL-2.0-only
"""What becomes of old nights."""

from datetime import date

from harness.nightly import prune
from tests.support.nights import littered


def test_pruning_by_age_and_size_keeps_the_history_and_two_nights(tmp_path):
    there = prune.leaves(littered(tmp_path, 5))
    assert len(there) == 10
    by_age = prune.choose(there, date(2026, 1, 5), days=2)
    assert {leaf.day.day for leaf in by_age} == {1, 2}
    by_size = prune.choose(there, date(2026, 1, 5), size=7000)
    assert [leaf.day.day for leaf in by_size] == [1, 1, 2]
    assert {leaf.day.day for leaf in prune.choose(there, date(2030, 1, 1), days=0)} == {1, 2, 3}
