# SPDX-License-Identifier: GPL-2.0-only
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model.run import Outcome
from harness.parse import dmesg
from harness.parse import outcome as outcomes
from harness.parse.dmesg import Chunk
from tests.support.checkout import ROOT
from tests.support.consoles import MARK, RECORDED

# Bytes that look like a console more often than chance would have it.
PIECES = st.sampled_from(
    [
        *(b"\n", b"\r\n", b"\x1b[2J", b"\x1bc", b"\x1b]0;", b"\0", b"[    0.000000] ", b"<6>"),
        *(b"[    1.234567] ", b"Linux version 6.12 (x@y)", b"Kernel panic - not syncing: x"),
        *(b"BUG: Bad page state", b"\xff\xfe", b"boot-marks: begin version=1 tsc_khz=1 now=1"),
        *(b" marks=1 lost=0", b"boot-marks: phase=boot node=-1 start=1 end=2 busy=1 calls=1"),
        *(b" pages=1", b"node 1 deferred pages initialised in 5ms", "\u2028\x85".encode()),
        b"[Tue Nov 24 05:06:04 2026] ",
    ]
)
CONSOLES = st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=40).map(b"".join)


@given(CONSOLES)
def test_every_byte_string_is_a_console(data):
    report = outcomes.report(data)
    json.dumps(report)
    assert report["outcome"] in set(Outcome)
    assert len(report["excerpt"]) <= outcomes.EXCERPT


@given(CONSOLES, st.lists(st.integers(1, 9), max_size=30))
def test_an_index_gives_back_the_arrival_of_its_lines(data, sizes):
    chunks, offset = [], 0
    for number, size in enumerate(sizes):
        chunks.append(Chunk(offset, size, number / 8))
        offset += size
    text = dmesg.to_jsonl(dmesg.read(data, chunks))
    again = dmesg.read(data, dmesg.host_stamps_from_jsonl(text))
    assert dmesg.to_jsonl(again) == text


def test_a_line_of_the_index_that_was_cut_is_left_out():
    text = dmesg.to_jsonl(dmesg.read(b"a\nb\n", [Chunk(0, 2, 1e-5), Chunk(2, 2, 2.5)]))
    assert dmesg.host_stamps_from_jsonl(text) == (Chunk(0, 0, 1e-5), Chunk(2, 0, 2.5))
    assert dmesg.host_stamps_from_jsonl(text[:-3]) == (Chunk(0, 0, 1e-5),)


@given(st.text(max_size=200))
def test_a_damaged_index_is_no_error(text):
    dmesg.host_stamps_from_jsonl(text)


def test_user_space_that_cuts_into_lines_of_the_kernel():
    (path,) = (path for path in RECORDED if path.stem == "debian-6.12-user-space")
    found = dmesg.read(path.read_bytes()).lines
    kernel = [line for line in found if line.text.startswith("pageinit: message ")]
    assert [line.text.split()[2] for line in kernel] == [str(n) for n in range(40)]
    assert all(line.printk and line.stamp_s for line in kernel)
    own = [line for line in found if line.text.startswith("user space line ")]
    assert len(own) == 40 and not any(line.printk or line.stamp_s for line in own)


def lines(data: bytes) -> list[tuple[str, float | None]]:
    return [(line.text, line.stamp_s) for line in dmesg.read(data).lines]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x1bc\x1b[?7l\x1b[2J[    0.000000] Linux version 6\r\n", [("Linux version 6", None)]),
        (b"<6>[    1.500000] a\n", [("a", 1.5)]),
        (b"[    1.500000][    T1] a\n", [("a", 1.5)]),
        (b"<6>[    1.500000] [   T36] a\n", [("a", 1.5)]),
        (b"> [    1.500000] a\n", [("> ", None), ("a", 1.5)]),
        (b"login: [    2.500000] b\n", [("login: ", None), ("b", 2.5)]),
        (b"Nov 24 05:06:04 host kernel: [    3.000000] c\n", [("c", 3.0)]),
        (b"Nov 24 05:06:04 host kernel: c\n", [("c", None)]),
        (b"[Tue Nov 24 05:06:04 2026] d\n", [("d", None)]),
        (b"a\rb\0c\n", [("abc", None)]),
        (b"\x1b[0;\x1b[31mred\x1b[1;\n", [("red", None)]),
    ],
)
def test_prefixes(data, expected):
    assert lines(data) == expected


FLOODS = {
    "one line": b"x",
    "newlines": b"\n",
    "short lines": b"x\n",
    "no text": b"\xff",
    "escapes": b"\x1b[0;",
    "warnings": b"[    1.000000] WARNING: x\n",
    "banners": b"x Linux version 6\n",
    "marks": MARK % (b"boot", -1, 1, 2, 1, 1, 1),
    "stamps": b"[    1.000000]",
}
BOUNDED = """
import resource, sys
from harness.parse import dmesg, outcome
unit = bytes.fromhex(sys.argv[1])
data = b"[    1.000000] boot-marks: begin version=1 tsc_khz=1 now=1 marks=1 lost=0\\n"
data += unit * (int(sys.argv[2]) // len(unit))
before = resource.getrusage(resource.RUSAGE_SELF)
outcome.report(data)
dmesg.to_jsonl(dmesg.read(data))
after = resource.getrusage(resource.RUSAGE_SELF)
print(after.ru_utime - before.ru_utime, (after.ru_maxrss - before.ru_maxrss) * 1024)
"""


@pytest.mark.parametrize("unit", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_takes_seconds_and_bounded_memory(unit):
    argv = [sys.executable, "-c", BOUNDED, unit.hex(), str(64 << 20)]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    seconds, memory = map(float, said.split())
    assert seconds < 30
    assert memory < 1 << 30


def test_too_many_lines_keep_both_ends():
    data = b"[    1.000000] Linux version 6.1 (x)\n" + b"\n" * 10_000_000
    console = dmesg.read(data + b"[    9.000000] last\n")
    assert console.truncated and console.version == "6.1" and console.last_stamp_s == 9.0
    assert len(console.data) < 2 * dmesg.MAX_LINES


def test_a_log_too_long_keeps_both_ends():
    data = b"[    1.000000] Linux version 6.1 (x)\n" + b"x\n" * (dmesg.MAX_BYTES // 2)
    console = dmesg.read(data + b"[    9.000000] last\n")
    assert console.truncated
    assert console.version == "6.1"
    assert console.last_stamp_s == 9.0
