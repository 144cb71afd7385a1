# SPDX-License-Identifier: GPL-2.0-only
"""Logs from files, pipes and devices, packed or not, whole or growing."""

import bz2
import gzip
import lzma
import os
import subprocess
import sys
import threading

import pytest
from backports import zstd

from harness.errors import UserError
from harness.parse import dmesg, source
from tests.support.checkout import ROOT

LOG = b"[    1.000000] Linux version 6.1 (x)\n" * 2000
PACKERS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS.keys())
@pytest.mark.parametrize("name", ["console.log", "console.gz", "console"])
def test_a_packed_log_is_known_by_what_it_holds(tmp_path, pack, name):
    path = tmp_path / name
    path.write_bytes(pack(LOG))
    assert source.read(str(path)) == LOG


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS.keys())
def test_a_damaged_log_is_named(tmp_path, pack):
    path = tmp_path / "console.log"
    path.write_bytes(pack(os.urandom(100_000))[:-20])
    with pytest.raises(UserError, match=r"console\.log: cannot be read: "):
        source.read(str(path))


def test_what_is_no_log_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="cannot be read"):
            source.read(str(path))


def test_a_pipe_is_read_to_its_end(tmp_path):
    os.mkfifo(path := tmp_path / "fifo")
    writer = threading.Thread(target=path.write_bytes, args=(gzip.compress(LOG),))
    writer.start()
    assert source.read(str(path)) == LOG
    writer.join()


def test_a_device_gives_what_it_has():
    assert source.read(os.devnull) == b""


def test_the_ends_of_a_long_log(tmp_path):
    path = tmp_path / "console.log"
    with path.open("wb") as file:
        file.write(b"[    1.000000] Linux version 6.1 (x)\n")
        file.truncate(1 << 32)
        file.seek(0, os.SEEK_END)
        file.write(b"\n[    9.000000] last\n")
    console = dmesg.read_any(source.read(str(path)))
    assert console.truncated
    assert (console.version, console.last_stamp_s) == ("6.1", 9.0)


def test_the_ends_of_a_stream():
    ends = source.Ends()
    ends.add(b"first\n")
    for _ in range(200):
        ends.add(b"x" * (1 << 20))
    ends.add(b"last\n")
    data = bytes(ends)
    assert data.startswith(b"first\nx") and data.endswith(b"xlast\n")
    assert dmesg.MAX_BYTES < len(data) < dmesg.MAX_BYTES + (2 << 20)


BOMB = """
import re, sys
from harness.parse import source
source.read(sys.argv[1])
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10)
"""


def test_what_unpacks_to_too_much_is_bounded(tmp_path):
    path = tmp_path / "console.log"
    packer = zstd.ZstdCompressor()
    block = bytes(16 << 20)
    path.write_bytes(b"".join([packer.compress(block) for _ in range(128)] + [packer.flush()]))
    argv = [sys.executable, "-c", BOMB, str(path)]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert int(said) < 300 << 20


def test_a_file_that_grows_comes_in_pieces(tmp_path):
    path = tmp_path / "console.log"
    pieces = source.grow(str(path), 0.01)
    assert next(pieces) == b""
    path.write_bytes(b"one\n")
    assert next(piece for piece in pieces if piece) == b"one\n"
    with path.open("ab") as file:
        file.write(b"two\n")
    assert next(piece for piece in pieces if piece) == b"two\n"
    path.write_bytes(b"3\n")
    assert next(piece for piece in pieces if piece) == b"3\n"
    path.unlink()
    path.write_bytes(b"another file\n")
    assert next(piece for piece in pieces if piece) == b"another file\n"
    pieces.close()


def test_a_pipe_that_grows_ends(tmp_path):
    os.mkfifo(path := tmp_path / "fifo")
    writer = threading.Thread(target=path.write_bytes, args=(b"one\n",))
    writer.start()
    assert b"".join(source.grow(str(path), 0.01)) == b"one\n"
    writer.join()
