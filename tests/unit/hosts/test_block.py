# SPDX-License-Identifier: GPL-2.0-only
"""What is done on a host for a block, beside booting it."""

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.hosts import block, supervisor


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return block.home()


def test_a_file_lies_under_its_hash_and_is_private(home):
    name = hashlib.sha256(b"kernel").hexdigest()
    block.put(name, b"kernel")
    (path,) = block.files().iterdir()
    assert (path.name, path.read_bytes(), path.stat().st_mode & 0o77) == (name, b"kernel", 0)


@pytest.mark.parametrize("name", ["0" * 64, "../../x", "/etc/passwd", ""])
def test_a_file_that_changed_on_its_way_is_refused_and_leaves_nothing(home, name):
    with pytest.raises(ValueError, match="changed on its way"):
        block.put(name, b"kernel")
    assert not list(home.parent.rglob("*"))


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "/etc", ".x", "."])
def test_nothing_but_a_block_is_removed(home, name):
    kept = [block.blocks() / "a/b", block.blocks().parent / "x", block.blocks() / ".x"]
    for path in kept:
        path.mkdir(parents=True)
    block.forget(name)
    assert all(path.is_dir() for path in kept)
    block.forget("a")
    assert not kept[0].exists()


@settings(deadline=None)
@given(st.text())
def test_no_name_removes_anything_elsewhere(tmp_path_factory, name):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        kept = block.blocks().parent / "kept"
        kept.mkdir(parents=True)
        block.blocks().mkdir()
        block.forget(name)
        assert kept.is_dir() and block.blocks().is_dir()


def test_what_nobody_asks_for_again_is_removed_when_it_is_over(home):
    """The folder of a block that was taken in by a controller that was killed stayed for ever."""
    names = ["a-m-time-000-1", "a-m-time-001-2", "a-m-work-000-1", "b-m-time-000-1"]
    for name in names:
        (block.blocks() / name).mkdir(parents=True)
    os.mkfifo(alive := block.blocks() / names[2] / supervisor.ALIVE)
    running = os.open(alive, os.O_RDWR)
    try:
        block.tidy("a", [names[1]])
    finally:
        os.close(running)
    assert sorted(path.name for path in block.blocks().iterdir()) == names[1:]


def test_an_order_for_nobody_is_not_kept():
    """Else it would be the answer to a task of the same name that comes later."""
    assert block.order("nobody", (1, 1)) is False
    assert block.order("nobody", None) is False
