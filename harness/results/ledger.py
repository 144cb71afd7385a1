# SPDX-License-Identifier: GPL-2.0-only
"""The ledger of a results folder: which block, which attempt, where, and what became of it.

It is ours, not that of an engine that spreads the work, and only ever grows: one line of JSON for
the begin and one for the end of an attempt, on disk before anything else goes on. The last line of
a writer that was killed may be torn; it is closed by a newline and counts as unreadable, no more.

An attempt without an end was lost, with the process or the host that made it. Whoever holds the
folder next writes that down, so each attempt has an end at last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationError

from harness.files import append_line, read_plain
from harness.model import Model
from harness.results.folder import Damage

FILE = "ledger.jsonl"


class Fate(StrEnum):
    """What became of an attempt at a block."""

    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


class LedgerEntry(Model):
    """One line: an attempt began, or, with a fate, ended."""

    at_utc: str
    """when, by the clock of the machine that keeps the ledger"""
    block: str
    """machine, clock and number"""
    attempt: int
    """1 for the first"""
    host: str
    """where"""
    fate: Fate | None = None
    """absent where the attempt begins"""
    task: str = ""
    """name by which the host knows the attempt, where it is not this machine"""
    detail: str = ""
    """why it failed"""
    runs: dict[str, str] = Field(default={})
    """outcome of each boot by the id of its run, where it ended"""

    @property
    def key(self) -> tuple[str, int]:
        return self.block, self.attempt


class Ledger:
    """The ledger in one results folder. Who writes holds the folder's lock."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def read(self) -> tuple[list[LedgerEntry], list[Damage]]:
        """Every entry in order, and the lines that are none."""
        entries, damage = [], []
        try:
            data = read_plain(self.path)
        except FileNotFoundError:
            return [], []
        except OSError as error:
            return [], [Damage(self.path, f"cannot be read: {error.strerror}")]
        for number, line in enumerate(data.split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                entries.append(LedgerEntry.model_validate_json(line))
            except ValidationError:
                damage.append(Damage(self.path, f"line {number} is no entry"))
        return entries, damage

    def begin(self, block: str, host: str, task: str = "") -> int:
        """Writes that an attempt begins, and answers its number."""
        attempt = self.upcoming(block)
        self._append(
            [LedgerEntry(at_utc=_now(), block=block, attempt=attempt, host=host, task=task)]
        )
        self._begun[block] = attempt
        return attempt

    def upcoming(self, block: str) -> int:
        """The number that the next attempt at a block will have."""
        return self._begun[block] + 1

    @cached_property
    def _begun(self) -> Counter[str]:
        return Counter(entry.block for entry in self.read()[0] if entry.fate is None)

    def end(
        self,
        block: str,
        attempt: int,
        host: str,
        fate: Fate,
        *,
        detail: str = "",
        runs: dict[str, str] | None = None,
    ) -> None:
        """Writes what became of an attempt."""
        entry = LedgerEntry(
            at_utc=_now(),
            block=block,
            attempt=attempt,
            host=host,
            fate=fate,
            detail=detail,
            runs=runs or {},
        )
        self._append([entry])

    def close_lost(self) -> list[LedgerEntry]:
        """Gives every attempt that has no end the one it has: lost. Answers them."""
        lost = [
            entry.model_copy(update={"at_utc": _now(), "fate": Fate.LOST})
            for entry in open_attempts(self.read()[0])
        ]
        self._append(lost)
        return lost

    def _append(self, entries: Iterable[LedgerEntry]) -> None:
        append_line(self.path, *(e.model_dump_json(exclude_defaults=True) for e in entries))


def open_attempts(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """The attempts that began and have no end."""
    begun: dict[tuple[str, int], LedgerEntry] = {}
    for entry in entries:
        if entry.fate is None:
            begun[entry.key] = entry
        else:
            begun.pop(entry.key, None)
    return list(begun.values())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
