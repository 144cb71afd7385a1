# SPDX-License-Identifier: GPL-2.0-only
"""Boots of one cell on the work clock have to be the same, byte for byte; where they are not, how.

It is this that makes one boot enough. A difference means that something got in that no clock
counts: a random seed, the date, a feature of the host's CPU, a port that was polled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from harness.files import read_bytes
from harness.model import Run
from harness.parse import CONSOLE, PROBES
from harness.text import one_line

FILES = (PROBES, CONSOLE)
"""The results first: what differs there is a number."""

MAX_TEXT = 160


@dataclass(frozen=True)
class Print:
    """The fingerprint of one boot's raw evidence."""

    cell: tuple[str, str]
    folder: Path
    digest: str


@dataclass(frozen=True)
class Mismatch:
    """Two boots of a cell that are not the same: the first line that differs, and both forms."""

    variant: str
    machine: str
    folders: tuple[Path, Path]
    file: str
    line: int
    texts: tuple[str, str]

    def __str__(self) -> str:
        first, second = self.folders
        return (
            f"{self.variant} on {self.machine}: two boots of the work clock differ, {self.file}"
            f" line {self.line}: {self.texts[0]!r} in {first.name}, {self.texts[1]!r} in"
            f" {second.name}"
        )


@dataclass(frozen=True)
class Repeats:
    """What a dataset says of its own repeats: `cells` were booted more than once."""

    mismatches: tuple[Mismatch, ...] = ()
    cells: int = 0

    def __str__(self) -> str:
        bad = len({(m.variant, m.machine) for m in self.mismatches})
        return (
            f"Work clock: {self.cells - bad} of {self.cells} cells that booted more than once gave"
            " the same bytes each time, on the console and on the port of the probes."
        )


def fingerprint(run: Run, folder: Path) -> Print | None:
    """Of a finished boot by the work clock; none for any other."""
    if run.clock != "work" or run.ending.cause != "done":
        return None
    digest = hashlib.sha256(b"".join(read_bytes(folder / name) for name in FILES)).hexdigest()
    return Print((run.variant, run.machine), folder, digest)


def look(prints: Iterable[Print]) -> Repeats:
    """Compares each boot with the first one of its cell."""
    cells: dict[tuple[str, str], list[Print]] = {}
    for item in prints:
        cells.setdefault(item.cell, []).append(item)
    found = [
        mismatch
        for first, *others in cells.values()
        for item in others
        if item.digest != first.digest and (mismatch := _compare(first, item))
    ]
    return Repeats(tuple(found), sum(len(boots) > 1 for boots in cells.values()))


def _compare(a: Print, b: Print) -> Mismatch | None:
    """Where two boots part. A console may go on for longer: the probes are done, and it is the host
    that decides how soon it ends the guest."""
    for name in FILES:
        pair = [read_bytes(item.folder / name).split(b"\n") for item in (a, b)]
        if name == CONSOLE:
            shorter = min(map(len, pair)) - 1
            pair = [lines[:shorter] for lines in pair]
        for number, lines in enumerate(zip_longest(*pair), 1):
            if lines[0] != lines[1]:
                texts = (_text(lines[0]), _text(lines[1]))
                return Mismatch(*a.cell, (a.folder, b.folder), name, number, texts)
    return None


def _text(line: bytes | None) -> str:
    """Guest text of one line, safe to print; empty where the file has ended."""
    return one_line((line or b"").decode("utf-8", "replace"), MAX_TEXT) or ""
