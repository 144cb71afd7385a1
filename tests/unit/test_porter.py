# SPDX-License-Identifier: GPL-2.0-only
"""Who is still at work on a block, on this machine and on another one that shares its folder."""

import os
import time

import pytest

from harness.hosts import porter


@pytest.fixture
def block(tmp_path, monkeypatch):
    monkeypatch.setattr(porter, "SEEN", {})
    monkeypatch.setattr(porter, "SILENT_S", 0.2)
    monkeypatch.setattr(porter, "START_S", 0.2)
    (tmp_path / "launched").touch()
    return tmp_path


def note(block, where, began=""):
    began = began or porter.started(os.getpid())
    (block / porter.SUPERVISOR).write_text(f"{where} {os.getpid()} {began}")
    return block / porter.SUPERVISOR


def test_here_the_process_itself_tells(block):
    note(block, porter.here())
    time.sleep(0.25)
    assert porter.alive(block)
    note(block, porter.here(), began="1")
    assert not porter.alive(block)


@pytest.mark.parametrize("skew_s", [0, -86400, 86400])
def test_elsewhere_it_lives_as_long_as_it_beats(block, skew_s):
    """Its number may be that of anybody here, and its clock a day off."""
    beat = note(block, "another")
    for n in range(5):
        os.utime(beat, (0, time.time() + skew_s + n))
        assert porter.outcome(block) is None
        time.sleep(0.1)
    time.sleep(0.2)
    assert porter.outcome(block) == {"cause": "lost", "status": 0}
    os.utime(beat)
    assert porter.alive(block)


def test_a_supervisor_is_awaited_for_a_while(block):
    os.utime(block / "launched", (0, 0))
    assert porter.alive(block)
    time.sleep(0.25)
    assert porter.outcome(block) == {"cause": "lost", "status": 0}


def test_a_block_that_was_never_launched(block):
    (block / "launched").unlink()
    assert porter.outcome(block) == {"cause": "not-begun", "status": 0}
