# SPDX-License-Identifier: GPL-2.0-only
"""Console text to lines. Pure and total: any bytes in, never an exception, bounded memory.

A serial console carries more than the kernel's log: escape sequences of the firmware, CR LF, NUL,
output of user space that cuts into a line of printk. Nothing here trusts what it reads.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

MAX_BYTES = 64 << 20
"""Of a longer log the two ends are kept, each half of this."""

MAX_LINES = 1 << 18
"""The same for lines: a flood of newlines would else cost a hundred times its bytes."""

MAX_LINE = 4096
_BLOCK = 1 << 20

# A sequence that is cut short is swallowed as far as it goes, as a terminal does. Nothing here goes
# back over what it has taken, so that no input is slow.
_ESCAPE = re.compile(
    rb"(?:\x1b(?:\[[0-?]*+[ -/]*+[@-~]?|\][^\x07\x1b\n]*+(?:\x07|\x1b\\)?|[ -/]*+[0-~])"
    rb"|\xc2[\x80-\x9f])++"
)
_CONTROL = bytes(c for c in range(32) if c not in b"\n\t\x1b") + b"\x7f"
_STAMP = r"\[ *+(\d{1,7}\.\d{6})\](?: ?\[ *[TC]\d+\])? ?"
_PREFIX = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ kernel: )?(?:<\d{1,3}>)?"
    rf"(?:{_STAMP}|\[[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d \d{{4}}\] )"
)
_SYSLOG = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ kernel: |<\d{1,3}>")
_STAMPED = re.compile(rf"^(?:<\d{{1,3}}>)?{_STAMP}", re.M)
_INSIDE = re.compile(_STAMP)
_INDEX = re.compile(
    r'^\{"offset": ([0-9]{1,18}), "host_s": ([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?), ".*"\}$', re.M
)
_VERSION = re.compile(r"Linux version (\S{1,100})")


class Chunk(NamedTuple):
    """Bytes that arrived together, `host_s` seconds after the launch of QEMU."""

    offset: int
    size: int
    host_s: float


class Line(NamedTuple):
    """One line. `stamp_s` is unknown while printk still says 0.000000.

    `printk` tells that the line has the kernel's prefix, which `text` is without; `offset` is
    that of the raw line in the log.
    """

    text: str
    stamp_s: float | None = None
    host_s: float | None = None
    printk: bool = False
    offset: int = 0


@dataclass(frozen=True)
class Dmesg:
    """A console log. `text` has one line for each raw line, without what terminals would obey."""

    data: bytes = field(repr=False)
    text: str = field(repr=False)
    chunks: tuple[Chunk, ...] = field(default=(), repr=False)
    truncated: bool = False

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every line that is not empty, in order."""
        found: list[Line] = []
        offset = 0
        for raw, text in zip(self.data.split(b"\n"), self.text.split("\n"), strict=True):
            if text:
                found.extend(_parse(text, offset, self._host(offset)))
            offset += len(raw) + 1
        return tuple(found)

    def find(self, literal: str, start: int = 0) -> Iterator[tuple[int, Line]]:
        """Each line with `literal` in it, and where in `text` the literal is."""
        while (at := self.text.find(literal, start)) >= 0:
            begin = self.text.rfind("\n", 0, at) + 1
            end = self.text.find("\n", at)
            end = len(self.text) if end < 0 else end
            for line in _parse(self.text[begin:end], 0, None):
                if literal in line.text:
                    yield at, line
            start = end + 1

    def first(self, literal: str) -> Line | None:
        """The first line with `literal` in it."""
        return next((line for _, line in self.find(literal)), None)

    def arrival(self, at: int) -> float | None:
        """When the raw line around position `at` of `text` began to arrive on the host."""
        if not self.chunks:
            return None
        return self._host(self._starts[self.text.count("\n", 0, at)])

    @cached_property
    def banner(self) -> str | None:
        """The line in which the kernel names itself."""
        return next((n.text for _, n in self.find("Linux version ") if _is_banner(n)), None)

    @property
    def version(self) -> str | None:
        """``6.12.117`` and the like, as the banner has it."""
        match = _VERSION.match(self.banner or "")
        return match[1] if match else None

    @cached_property
    def command_line(self) -> str | None:
        for literal in ("Kernel command line: ", "Command line: "):
            if line := self.first(literal):
                return line.text.partition(literal)[2]
        return None

    @cached_property
    def last_stamp_s(self) -> float | None:
        """The last stamp of printk, in seconds; none where all of them are zero."""
        end = len(self.text)
        while end > 0:
            begin = self.text.rfind("\n", 0, end) + 1
            for line in reversed(_parse(self.text[begin:end], 0, None)):
                if line.stamp_s is not None:
                    return line.stamp_s
            end = begin - 1
        return None

    @cached_property
    def stamped(self) -> bool:
        """Whether the kernel of this console puts stamps before its lines (printk.time)."""
        return bool(_STAMPED.search(self.text))

    @property
    def early_stamps_unknown(self) -> int:
        """How many lines printk stamped with 0.000000 because it had no clock yet."""
        return self.text.count("[    0.000000]")

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return (0, *(m.end() for m in re.finditer(rb"\n", self.data)))

    @cached_property
    def _offsets(self) -> tuple[int, ...]:
        return tuple(chunk.offset for chunk in self.chunks)

    def _host(self, offset: int) -> float | None:
        at = bisect_right(self._offsets, offset) - 1
        return self.chunks[at].host_s if at >= 0 else None


def read(data: bytes, chunks: Sequence[Chunk] = ()) -> Dmesg:
    """Reads a console log; never raises. `chunks` are in the order of their offsets."""
    kept = _ends(data)
    truncated = kept is not data
    if truncated:
        data, chunks = kept, ()
    clean = _plain(data) if b"\x1b" in data or b"\xc2" in data else data
    text = clean.translate(None, _CONTROL + b"\x1b").decode("utf-8", "replace")
    return Dmesg(data, text, tuple(chunks), truncated)


def _plain(data: bytes) -> bytes:
    """The log without escape sequences; block by block, for `sub` keeps every piece in memory."""
    kept, start = [], 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + _BLOCK) + 1 or start + _BLOCK
        kept.append(_ESCAPE.sub(b"", data[start:end]))
        start = end
    return b"".join(kept)


def _ends(data: bytes) -> bytes:
    """The log itself, or its two ends where it has too many bytes or lines."""
    if len(data) > MAX_BYTES:
        data = data[: MAX_BYTES // 2] + b"\n" + data[-MAX_BYTES // 2 :]
    if data.count(b"\n") > MAX_LINES:
        head = data.split(b"\n", MAX_LINES // 2)[:-1]
        data = b"\n".join([*head, *data.rsplit(b"\n", MAX_LINES // 2)[1:]])
    return data


def to_jsonl(console: Dmesg) -> str:
    """One JSON object a line: offset in the log, host time, printk time, text."""
    return "".join(
        json.dumps(
            {
                "offset": line.offset,
                "host_s": line.host_s,
                "stamp_s": line.stamp_s,
                "text": line.text,
            },
            ensure_ascii=False,
        )
        + "\n"
        for line in console.lines
    )


def host_stamps_from_jsonl(text: str) -> tuple[Chunk, ...]:
    """The arrival of each line, from what `to_jsonl` wrote; damaged lines are left out."""
    chunks: list[Chunk] = []
    last = -1
    for offset, host_s in _INDEX.findall(text):
        if (at := int(offset)) > last:
            last = at
            chunks.append(Chunk(at, 0, float(host_s)))
    return tuple(chunks)


def _parse(text: str, offset: int, host_s: float | None) -> list[Line]:
    """One line, or two where a line of printk begins behind output of user space."""
    text = text[:MAX_LINE]
    match = _PREFIX.match(text)
    if match:
        return [Line(text[match.end() :], _seconds(match[1]), host_s, True, offset)]
    if syslog := _SYSLOG.match(text):
        return [Line(text[syslog.end() :], None, host_s, True, offset)]
    if inside := _INSIDE.search(text, 1):
        rest = Line(text[inside.end() :], _seconds(inside[1]), host_s, True, offset)
        return [Line(text[: inside.start()], None, host_s, False, offset), rest]
    return [Line(text, None, host_s, False, offset)]


def _seconds(stamp: str | None) -> float | None:
    return float(stamp) or None if stamp else None


def _is_banner(line: Line) -> bool:
    return line.text.startswith("Linux version ")
