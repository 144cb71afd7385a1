# SPDX-License-Identifier: GPL-2.0-only
"""Console text to lines. Pure and total: any bytes in, never an exception, bounded memory.

A serial console carries more than the kernel's log: escape sequences of the firmware, CR LF, NUL,
output of user space that cuts into a line of printk. Nothing here trusts what it reads.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from harness.parse import formats

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
_STAMP = r"\[ *+(\d{1,10}\.\d{6})\](?: ?\[ *[TC]\d+\])? ?"
_PREFIX = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ kernel: )?(?:<\d{1,3}>)?"
    rf"(?:{_STAMP}|\[[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d \d{{4}}\] )"
)
_SYSLOG = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ kernel: |<\d{1,3}>")
_STAMPED = re.compile(rf"\n(?:<\d{{1,3}}>)?{_STAMP}")
_INSIDE = re.compile(_STAMP)
_INDEX = re.compile(
    r'^\{"offset": ([0-9]{1,18}), "host_s": ([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?), ".*"\}$', re.M
)
_TAGGED = re.compile(r"\n<\d{1,3}>")
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
    tagged: bool = False
    """whether ``<6>`` stands before lines of the kernel that have no stamp"""

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

    def around(
        self, sign: str | re.Pattern[str], start: int = 0
    ) -> Iterator[tuple[int, list[Line]]]:
        """What each raw line with `sign` in it holds, and where in `text` the raw line begins.

        A pattern may begin with the newline before the line.
        """
        text = self.text
        if isinstance(sign, re.Pattern) and not start and sign.match("\n" + text[:MAX_LINE]):
            start = max(0, text.find("\n"))
            yield 0, _parse(text[: start or None], 0, None)
            if not start:
                return
        while (at := _search(text, sign, start)) >= 0:
            begin = text.rfind("\n", 0, at + (text[at] == "\n")) + 1
            end = text.find("\n", begin)
            end = len(text) if end < 0 else end
            yield begin, _parse(text[begin:end], 0, None)
            start = end

    def find(self, literal: str) -> Iterator[tuple[int, Line]]:
        """Each line with `literal` in it, and where in `text` its raw line begins."""
        for at, lines in self.around(literal):
            for line in lines:
                if literal in line.text:
                    yield at, line

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
        """What the kernel was started with; a long one comes in lines that end with a backslash."""
        for literal in ("Kernel command line: ", "Command line: "):
            pieces: list[str] = []
            for _, line in self.find(literal):
                piece = line.text.partition(literal)[2]
                if not piece.endswith("\\"):
                    return " ".join([*pieces, piece])
                pieces.append(piece[:-1].rstrip())
            if pieces:
                return " ".join(pieces)
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
        """Whether lines of the kernel can be told: it puts stamps before them (printk.time)."""
        return self.tagged or _begins(self.text, _STAMPED)

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


def read_any(data: bytes) -> Dmesg:
    """Reads a log however others keep it: as dmesg, a journal, a mail or a tool shows it."""
    kept = _ends(data)
    console = read(formats.unpack(kept))
    text = formats.peel(_shortened(console.text))
    return replace(
        console,
        text=text,
        truncated=console.truncated or kept is not data,
        tagged=_begins(text, _TAGGED),
    )


def _shortened(text: str) -> str:
    """The text without the rest of lines that are longer than any is read."""
    if len(text) < MAX_LINE * (text.count("\n") + 1):
        return text
    return "\n".join(line[:MAX_LINE] for line in text.split("\n"))


def _begins(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether a line begins with a pattern that has the newline before it."""
    return bool(pattern.match("\n" + text[:MAX_LINE]) or pattern.search(text))


def _search(text: str, sign: str | re.Pattern[str], start: int) -> int:
    if isinstance(sign, str):
        return text.find(sign, start)
    match = sign.search(text, start)
    return match.start() if match else -1


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
        head, tail = -1, len(data)
        for _ in range(MAX_LINES // 2):  # no list of all lines, to be quick
            head, tail = data.find(b"\n", head + 1), data.rfind(b"\n", 0, tail)
        data = data[:head] + data[tail:]
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
        if (at := int(offset)) > last and math.isfinite(float(host_s)):
            last = at
            chunks.append(Chunk(at, 0, float(host_s)))
    return tuple(chunks)


def _parse(text: str, offset: int, host_s: float | None) -> list[Line]:
    """One line, or more where another of printk begins before the first has ended."""
    text = text[:MAX_LINE]
    match = _PREFIX.match(text)
    syslog = None if match else _SYSLOG.match(text)
    begin = match.end() if match else syslog.end() if syslog else 0
    stamp, printk = _seconds(match[1]) if match else None, bool(match or syslog)
    found = []
    while inside := _INSIDE.search(text, begin or 1):
        if inside.start() > begin:
            found.append(Line(text[begin : inside.start()], stamp, host_s, printk, offset))
        begin, stamp, printk = inside.end(), _seconds(inside[1]), True
    return [*found, Line(text[begin:], stamp, host_s, printk, offset)]


def _seconds(stamp: str | None) -> float | None:
    return float(stamp) or None if stamp else None


def _is_banner(line: Line) -> bool:
    return line.text.startswith("Linux version ")
