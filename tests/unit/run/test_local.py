# SPDX-License-Identifier: GPL-2.0-only
"""Boots that share the host never take more CPUs or memory than it has."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.run.local import share


def play(needs, seats, room, breaks=None):
    """Runs jobs of these needs; answers the order they began in and the fullest moments."""
    begun, running, most = [], set(), [0, 0]

    async def work(job):
        begun.append(job)
        running.add(job)
        most[0] = max(most[0], len(running))
        most[1] = max(most[1], sum(needs[j] for j in running) if len(running) > 1 else 0)
        for _ in range(1 + job * 7 % 5):
            await asyncio.sleep(0)
        if job == breaks:
            raise ValueError(job)
        running.remove(job)

    asyncio.run(share(list(enumerate(needs)), seats, room, work))
    return begun, most


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 4), st.integers(1, 50))
def test_all_is_done_in_order_within_the_limits(needs, seats, room):
    begun, (jobs, bytes_) = play(needs, seats, room)
    assert begun == list(range(len(needs)))
    assert jobs <= seats and bytes_ <= room


def test_seats_are_used():
    assert play([1] * 6, 3, 100)[1][0] == 3
    assert play([40] * 6, 3, 100)[1][0] == 2
    assert play([400] * 3, 3, 100)[1][0] == 1


def test_the_first_error_ends_all():
    with pytest.raises(ValueError, match="3"):
        play([1] * 9, 2, 9, breaks=3)
