# SPDX-License-Identifier: GPL-2.0-only
"""Free memory is kept where a hypervisor takes it back, and let go."""

import contextlib
import ctypes
import fcntl
import logging
import mmap
import os
import struct
from pathlib import Path

import pytest

from harness import host_memory
from harness.host_memory import is_taken_back
from harness.units import MIB


@pytest.mark.parametrize(
    ("features", "taken"),
    [("0110010100", True), ("0110000100", False), ("01100", False), ("", False)],
)
def test_a_balloon_says_whether_free_pages_are_reported(tmp_path, features, taken):
    device = tmp_path / "bus/virtio/drivers/virtio_balloon/virtio3"
    device.mkdir(parents=True)
    (device / "features").write_text(features + "\n")
    assert is_taken_back(tmp_path) is taken


def test_without_a_balloon_nothing_is_taken_back(tmp_path):
    assert is_taken_back(tmp_path) is False


def pipes() -> dict[int, str]:
    """The ends of pipes that this process has open."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if (target := str(link.readlink())).startswith("pipe:"):
                found[int(link.name)] = target
    return found


def test_pages_are_held_and_let_go(caplog):
    caplog.set_level(logging.INFO)
    before = pipes()
    with host_memory.held(8 * MIB) as size:
        held = pipes().keys() - before.keys()
        assert size == 8 * MIB * host_memory.BESIDE + host_memory.SLACK
        # 266 MiB are 133 blocks where they lie together, and a pipe with two ends has room for 256.
        assert len(held) >= 2
        assert f"kept {size // MIB}MiB of free memory" in caplog.text
    assert pipes() == before


@pytest.mark.parametrize("told", [True, False])
def test_one_page_of_each_block_is_taken(told, monkeypatch):
    """Frames 0x1000 and on, of which the second block is in pieces; or none is told."""
    frames = [*range(0x1000, 0x1200), *range(0x1300, 0x1400), *range(0x1800, 0x1900)]
    frames += range(0x1200, 0x1300)
    entries = [0xA1 << 56 | (frame if told else 0) for frame in frames]
    monkeypatch.setattr(os, "pread", lambda *_: struct.pack(f"{len(entries)}Q", *entries))
    found = host_memory._one_of_each(0, len(frames) * mmap.PAGESIZE, 512 * mmap.PAGESIZE)
    assert found == ([0, 512, 768] if told else [511, 1023])


def test_a_pipe_holds_the_pages_themselves():
    """What is written to the page later is in the pipe: it is no copy."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:5] = b"early"
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    with contextlib.ExitStack() as stack:
        before = pipes()
        host_memory._splice([address], stack)
        ends = pipes().keys() - before.keys()
        (reader,) = (end for end in ends if fcntl.fcntl(end, fcntl.F_GETFL) & 3 == os.O_RDONLY)
        memory[:5] = b"later"
        assert os.read(reader, 5) == b"later"


def test_what_cannot_be_kept_is_said_and_no_error(monkeypatch, caplog):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(host_memory, "_splice", refuse)
    before = pipes()
    with host_memory.held(MIB) as size:
        assert size == 0
    assert "Operation not permitted" in caplog.text and pipes() == before


def test_a_host_without_free_memory_keeps_none(monkeypatch):
    monkeypatch.setattr(host_memory, "available_memory", lambda: host_memory.RESERVE)
    with host_memory.held(MIB) as size:
        assert size == 0
