# SPDX-License-Identifier: GPL-2.0-only
"""A measurement has the host alone; all else shares it, and lets a measurement in."""

import asyncio
import signal
import subprocess
import sys

import pytest

from harness.host_lock import beside, turn

HOLD = """
import asyncio, sys
from pathlib import Path
from harness.host_lock import turn
async def hold():
    async with turn(Path(sys.argv[1]), sys.argv[2] == "alone", print):
        print("in", flush=True)
        await asyncio.sleep(100)
asyncio.run(hold())
"""


@pytest.fixture
def holder(tmp_path):
    """Starts another process that holds the host until it is killed."""
    made = []

    def start(how):
        argv = [sys.executable, "-c", HOLD, str(tmp_path), how]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        made.append(process)
        assert process.stdout.readline() == "in\n"
        return process

    yield start
    for process in made:
        process.kill()
        process.wait()


def take(folder, alone, patience=0.5):
    """Whether a turn was had in time, and what was said while it was not."""
    said = []

    async def once():
        async with asyncio.timeout(patience), turn(folder, alone, said.append):
            return True

    try:
        return asyncio.run(once()), said
    except TimeoutError:
        return False, said


def test_who_shares_does_not_wait_for_who_shares(holder, tmp_path):
    holder("shared")
    assert take(tmp_path, False) == (True, [])
    with beside(tmp_path, pytest.fail):
        assert take(tmp_path, False) == (True, [])


@pytest.mark.parametrize("mine", [True, False])
def test_nobody_is_there_beside_who_is_alone(holder, tmp_path, mine):
    other = holder("alone")
    assert take(tmp_path, mine) == (
        False,
        [f"waits for process {other.pid}, which has the host alone to measure"],
    )
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert take(tmp_path, mine, 5)[0]


def test_who_wants_to_be_alone_waits_for_all(holder, tmp_path):
    other = holder("shared")
    had, said = take(tmp_path, True)
    assert not had and said == ["waits for others to be done, to have the host alone to measure"]
    other.kill()
    other.wait()
    assert take(tmp_path, True, 5) == (True, [])


def test_who_waits_to_be_alone_is_next(holder, tmp_path):
    first = holder("shared")

    async def queue():
        begun = []

        async def want(name, alone):
            async with turn(tmp_path, alone, lambda text: None):
                begun.append(name)

        alone = asyncio.create_task(want("alone", True))
        await asyncio.sleep(0.05)
        late = asyncio.create_task(want("late", False))
        await asyncio.sleep(0.5)
        assert begun == []
        first.kill()
        await asyncio.wait_for(asyncio.gather(alone, late), 10)
        return begun

    assert asyncio.run(queue()) == ["alone", "late"]
