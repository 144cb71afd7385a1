# SPDX-License-Identifier: GPL-2.0-only
"""How others keep a kernel log, turned into what a serial console shows. Pure and total.

`unpack` takes whole containers apart: JSON of dmesg, of the journal and of LAVA, the journal's
export and verbose forms, records of /dev/kmsg and of an extended netconsole. `peel` takes off what
stands before each line: quotes of a mail, clocks of tools, syslog's header, levels, the CPU and
process that some vendors' kernels print. A line of the kernel keeps its stamp, or gets ``<6>``
where it has none; what is of user space is left without either.
"""

from __future__ import annotations

import json
import quopri
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

KERNEL = "<6>"
"""Stands before a line of the kernel that has no stamp."""

SAMPLE = 2000
"""Lines by which it is told how a log is kept, from all over it."""

_TEXT = ("MESSAGE", "msg", "message", "log", "text", "line")
_JSON = re.compile(rb"\s*(?:- |data: |\x1e)?[{\[]")
_KMSG = re.compile(
    r"(?:[\w.+~-]{1,60},)?(\d{1,4}),\d{1,20},(\d{1,20}),([-c+])((?:,[\w=/:.-]*)*);(.*)"
)
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_QUOTED_PRINTABLE = re.compile(rb"(?im)^content-transfer-encoding: *quoted-printable")
_EXPORT = re.compile(rb"\s*__CURSOR=")
_FIELD = re.compile(rb"([A-Z_][A-Z0-9_]{0,63})(?:=([^\n]*)\n?|\n)")
_VERBOSE = re.compile(r"[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \S+ \[s=[0-9a-f]")
_INDENTED = re.compile(r" {4}([A-Z_][A-Z0-9_]{0,63})=(.*)")


def unpack(data: bytes) -> bytes:
    """The lines in a container, or `data` itself where it is none."""
    head = data[:4096]
    if _QUOTED_PRINTABLE.search(data, 0, 1 << 16):
        data = quopri.decodestring(data)
    if _JSON.match(head):
        return _lines(_from_json(data)) or data
    if _EXPORT.match(head):
        return _lines(_from_export(data)) or data
    first = [n for n in head.decode("utf-8", "replace").split("\n")[:40] if n.strip()]
    if any(_VERBOSE.match(line) for line in first):
        return _lines(_from_verbose(data.decode("utf-8", "replace"))) or data
    first = [line for line in first if line[0] != " "]  # what describes a record comes behind it
    if sum(bool(_KMSG.match(line)) for line in first) * 2 > len(first):
        return _lines(_from_kmsg(data.decode("utf-8", "replace"))) or data
    return data


def _lines(found: Iterator[str]) -> bytes:
    return "\n".join(found).encode("utf-8", "replace")


def _from_json(data: bytes) -> Iterator[str]:
    for value in _objects(data.decode("utf-8", "replace")):
        whole = value.get("dmesg")
        for entry in whole if isinstance(whole, list) else [value]:
            if isinstance(entry, dict):
                yield from _entry(entry)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Each JSON object; one that is cut short is given up, and those in it are read."""
    decode, budget = json.JSONDecoder().raw_decode, 2 * len(text) + 1000
    at = text.find("{")
    while at >= 0 and budget > 0:
        try:
            value, end = decode(text, at)
            yield value
        except json.JSONDecodeError as error:
            budget -= error.pos - at + 10
            end = at + 1
        except (ValueError, RecursionError):
            budget -= 10_000
            end = at + 1
        at = text.find("{", end)


def _entry(fields: dict[str, Any]) -> Iterator[str]:
    """The lines of one record, whose keys are dmesg's, the journal's, LAVA's or another's."""
    text = next((fields[key] for key in _TEXT if key in fields), None)
    if isinstance(text, list):  # the journal's way with bytes that are no UTF-8
        numbers = [n for n in text if isinstance(n, int) and 0 <= n < 256]
        text = bytes(numbers).decode("utf-8", "replace")
    if not isinstance(text, str) or fields.get("lvl", "target") not in ("target", "feedback"):
        return
    name = fields.get("SYSLOG_IDENTIFIER", fields.get("_COMM"))
    if "pri" in fields or "kernel" in (name, fields.get("_TRANSPORT")):
        prefix = _stamp(fields.get("time"), 1) or _stamp(
            fields.get("_SOURCE_MONOTONIC_TIMESTAMP"), 1_000_000
        )
        prefix = prefix or KERNEL
    else:
        pid = fields.get("_PID", fields.get("SYSLOG_PID"))
        prefix = f"{name}[{pid}]: " if name and pid else f"{name}: " if name else ""
    for line in text.rstrip("\n").split("\n"):
        yield prefix + line


def _stamp(value: Any, unit: int) -> str:
    try:
        return f"[{float(value) / unit:12.6f}] " if float(value) < 1e13 else ""
    except (TypeError, ValueError, OverflowError):
        return ""


def _from_export(data: bytes) -> Iterator[str]:
    at = 0
    while at < len(data):
        fields: dict[str, Any] = {}
        while match := _FIELD.match(data, at):
            at = match.end()
            value = match[2]
            if value is None:  # binary: eight bytes of its length, the value, a newline
                size = int.from_bytes(data[at : at + 8], "little")
                value = data[at + 8 : at + 8 + size]
                at = min(len(data), at + 9 + size)
            fields[match[1].decode()] = value.decode("utf-8", "replace")
        yield from _entry(fields)
        end = data.find(b"\n", at)
        at = end + 1 if end >= 0 else len(data)


def _from_verbose(text: str) -> Iterator[str]:
    fields: dict[str, Any] = {}
    last = ""
    for line in text.split("\n"):
        if match := _INDENTED.match(line):
            last = match[1]
            fields[last] = match[2]
        elif line.startswith("     ") and last:
            fields[last] += "\n" + line.strip()
        else:
            yield from _entry(fields)
            fields, last = {}, ""
    yield from _entry(fields)


def _from_kmsg(text: str) -> Iterator[str]:
    """Records of /dev/kmsg; a piece of a line (``+``, ncfrag) goes to what it continues."""
    held: str | None = None
    for line in text.split("\n"):
        match = _KMSG.match(line)
        if not match:
            if line[:1] not in (" ", ""):  # not one of the dictionary of a record
                yield from [held] if held else []
                held = None
                yield line
            continue
        said = _ESCAPED.sub(_unescaped, match[5])
        continues = match[3] == "+" or ("ncfrag=" in match[4] and "ncfrag=0/" not in match[4])
        if continues and held is not None:
            held += said
            continue
        if held is not None:
            yield held
        held = _stamp(match[2], 1_000_000) + said
    if held is not None:
        yield held


def _unescaped(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character.isprintable() or character == "\t" else " "


@dataclass(frozen=True)
class _Peel:
    """What may stand before a line, and what is put in its place.

    It is taken off all over the log when at least `share` of the lines of the sample have it, and
    only where `behind`, another one, was there.
    """

    name: str
    pattern: re.Pattern[str]
    place: str | Callable[[re.Match[str]], str] = ""
    share: float = 0.0
    behind: str = ""


_LEVEL = r"(?:<\d{1,3}>)?"
_TIME = r"\d\d:\d\d:\d\d(?:[.,:]\d{1,9})?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[A-Z]{1,3}T\b|[+-]\d\d(?::?\d\d)?))?"
_ISO = rf"(?:[A-Z][a-z]{{2}} )?\d{{4}}[-/]\d\d[-/]\d\d[T _]{_TIME}{_ZONE}"
_CTIME = rf"(?:[A-Z][a-z]{{2}} )?[A-Z][a-z]{{2}} [ \d]\d {_TIME}{_ZONE}(?: \d{{4}})?"
_SHORT_DATE = rf"\d\d[-/.]\d\d(?:[-/.]\d\d(?:\d\d)?)?[ T]{_TIME}"
_UNIX = r"\d{10}\.\d{1,9}"
_CLOCK = rf"(?:{_ISO}|{_CTIME}|{_SHORT_DATE}|{_UNIX})"
_HEADER = r"(?:\S{1,255} )?(?:\w{2,10}\.\w{2,10} )?"
_NAME = r"([\w./@:-]{1,80}?(?:\[\d{1,9}\])?): "
_SECONDS = r"\[ *\d{1,10}\.\d{6}"
_PROCESS = "|".join(
    (
        r"[A-Z]? ?\[\d{1,4}:[^\]\n]{1,40}: *\d{1,9}\]",  # Samsung, Rockchip
        r"[-.]?\(\d{1,4}\)\[\d{1,9}:[^\]\n]{1,40}\]",  # MediaTek
        r"\[pid:\d{1,9},cpu\d{1,4},[^\]\n]{1,40}\]",  # Huawei
        r"\(CPU:\d{1,4}-pid:\d{1,9}:[^)\n]{1,40}\)",  # Sony
        r"c\d{1,3} +\d{1,9}(?= )",  # Qualcomm, Spreadtrum
        r"\[[A-Z]\](?= )",  # HTC
        r"\[ *[TC]\d{1,9}[^\]\n]{0,40}\]",  # CONFIG_PRINTK_CALLER
    )
)

_PEELS = tuple(
    _Peel(name, re.compile(f"^{pattern}", re.M), *rest)
    for name, pattern, *rest in (
        ("quote", r"(?:[>|] ?){1,20}+(?=\S)"),
        ("indent", rf"[ \t]+(?={_LEVEL}(?:{_SECONDS}|\[?{_CLOCK}|{_TIME}\.\d))"),
        ("job", r"[^\t\n]{1,80}\t[^\t\n]{1,80}\t(?=\d{4}-)"),
        ("rfc5424", rf"<\d{{1,3}}>1 {_ISO} \S+ kernel \S+ \S+ (?:-|\[[^\n]*?\]) ?\ufeff?", KERNEL),
        (
            "rfc5424 other",
            rf"<\d{{1,3}}>1 {_ISO} \S+ (\S+) \S+ \S+ (?:-|\[[^\n]*?\]) ?\ufeff?",
            r"\1: ",
            0.0,
            "rfc5424",
        ),
        (
            "syslog",
            rf"{_LEVEL}{_CLOCK} {_HEADER}(?:kernel(?:\[\d+\])?: ?|\[kernel\] )",
            KERNEL,
        ),
        ("syslog other", rf"{_LEVEL}{_CLOCK} {_HEADER}{_NAME}", r"\1: ", 0.0, "syslog"),
        ("monotonic", rf"({_SECONDS})(?: <[^>\n]*>)?\] \S+ kernel: ", r"\1] ", 0.2),
        (
            "monotonic other",
            rf"{_SECONDS}(?: <[^>\n]*>)?\] \S+ {_NAME}",
            r"\1: ",
            0.0,
            "monotonic",
        ),
        ("host", r"\S{1,255} kernel: ", KERNEL, 0.3),
        (
            "decoded",
            r"(?:kern|user|mail|daemon|auth|authpriv|syslog|lpr|news|uucp|cron|ftp|local\d) *:"
            r"(?:emerg|alert|crit|err|warn|notice|info|debug) *: ",
            KERNEL,
        ),
        (
            "dmesg iso",
            rf"{_LEVEL}\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{{6}}[+-]\d\d:\d\d (?:<[ \d.]+> )?",
            KERNEL,
        ),
        ("dmesg ctime", rf"{_LEVEL}\[{_CTIME}(?: <[ \d.]+>)?\] ", KERNEL),
        (
            "dmesg reltime",
            rf"{_LEVEL}\[(?:[A-Z][a-z]{{2}}[ \d]\d \d\d:\d\d| +\+\d+\.\d{{6}})\] ",
            KERNEL,
        ),
        ("grabserial", rf"{_SECONDS} +\d+\.\d{{6}}\] ?"),
        (
            "tool",
            rf"\[?(?:{_CLOCK}|{_TIME})\]?(?: +\d\d[OE]\+?)?(?: +\d+ +\d+ [VDIWEF])?"
            r"(?: ?[|>:-](?= ))? *",
        ),
        ("wrapper", rf"[^\n]{{1,120}}?(?={_LEVEL}{_SECONDS}\])", "", 0.5),
        ("farm", r"[RS] SERIAL(?:-\w+)?> "),
        (
            "stamp",
            rf"({_LEVEL}{_SECONDS})(?:@\d+|,\d+|s| / [^\]\n]{{1,40}}| <[^>\]\n]{{1,20}}>)\]",
            r"\1]",
        ),
        ("process", rf"({_LEVEL}{_SECONDS}\]) ?(?:{_PROCESS}) ?", r"\1 "),
    )
)


def peel(text: str) -> str:
    """The text without what stands before its lines."""
    sample = _sample(text)
    done: set[str] = set()
    for _ in range(2):  # a mail may quote what a tool stamped
        for peel in _PEELS:
            if peel.behind and peel.behind not in done:
                continue
            shorter, hits = peel.pattern.subn(peel.place, sample)
            if hits > peel.share * (sample.count("\n") + 1):
                sample = shorter
                text = peel.pattern.sub(peel.place, text)
                done.add(peel.name)
    return text


def _sample(text: str) -> str:
    """Lines from all over the log, all of them where they are few."""
    step = len(text) // SAMPLE
    if step < 200:
        return text
    windows = (text[at : at + 1000].split("\n", 2)[1:2] for at in range(0, len(text), step))
    return text[:20_000] + "\n" + "\n".join(piece[:300] for window in windows for piece in window)
