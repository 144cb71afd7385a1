# SPDX-License-Identifier: GPL-2.0-only
import os
import signal

import pytest

from harness.dataset import dataset
from harness.errors import HostError


def whoami(number: int) -> tuple[int, int]:
    return number, os.getpid()


def fail(number: int) -> None:
    raise ValueError(number)


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_many_items_are_done_in_processes_and_in_order():
    found = dataset.each(whoami, range(20), 2)
    assert [number for number, _ in found] == list(range(20))
    assert os.getpid() not in {pid for _, pid in found}


def test_one_item_is_done_here():
    assert dataset.each(whoami, [7], 2) == [(7, os.getpid())]
    assert dataset.each(whoami, [], 2) == []


def test_an_error_of_a_worker_is_ours():
    with pytest.raises(ValueError, match="0"):
        dataset.each(fail, range(4), 2)


def test_a_killed_worker_is_an_error_that_says_so():
    with pytest.raises(HostError, match="killed"):
        dataset.each(die, range(4), 2)
