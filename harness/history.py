# SPDX-License-Identifier: GPL-2.0-only
"""The history of nights on disk: one file a night, written once, never changed, never removed.

    history/000001-2026-11-24.json   {"sha256": ..., "night": {...}}

A file gets its name when it is whole and on the disk, so a reader at any moment sees whole nights
only and takes no lock, and a kill leaves at most a temporary file. The number is the place in the
history: dates may repeat or go back with the clock of the host, numbers do not.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import table
from harness.cache import locked
from harness.columns import Column
from harness.errors import ResultsError
from harness.night import VERSION, Night
from harness.results import Damage, disk_errors

_NAME = re.compile(r"(\d{6})-\d{4}-\d\d-\d\d\.json")

COLUMNS = (
    Column("number", "integer", "place of the night in the history"),
    Column("date", "string", "its date"),
    Column("variant", "string", "kernel under test"),
    Column("machine", "string", "emulated machine"),
    Column("clock", "string", "time: seconds under emulation; work: guest instructions"),
    Column("name", "string", "phase, pass of touch, or host_rss_peak_bytes"),
    Column("metric", "string", "what the value is: a column of the dataset"),
    Column("value", "number", "median over the boots of the night, in the unit of metric"),
    Column("n", "integer", "boots"),
    Column("spread", "number", "their median absolute deviation, in the unit of metric"),
    Column("exact", "boolean", "a count that is the same in every boot"),
    Column("base_version", "string", "version of the base source"),
    Column("tree", "string", "git tree id of the patched source"),
    Column("config_sha256", "string", "hash of the final .config"),
    Column("toolchain", "string", "what compiled the kernel"),
    Column("boot", "string", "kernel parameters of the variant"),
    Column("qemu_version", "string", "version of QEMU"),
    Column("accel", "string", "accelerator"),
    Column("host", "string", "name of the host"),
    Column("host_kernel", "string", "its kernel release"),
    Column("results", "string", "folder of the dataset, where it has not been pruned"),
)
"""The columns of history.csv: a row for each figure of each night."""


@dataclass(frozen=True)
class History:
    """A folder of nights."""

    path: Path

    def read(self) -> tuple[list[Night], list[Damage]]:
        """Every night in order, and what cannot be read; needs no lock."""
        nights, damage = [], []
        for path in self._files():
            try:
                nights.append(_read(path))
            except ResultsError as error:
                damage.append(Damage(path, error.what))
        return nights, damage

    def append(self, night: Night) -> Night:
        """Adds a night behind all others, durably; answers it with its number."""
        with locked(self.path / ".lock"), disk_errors(self.path):
            for left in self.path.glob(".*.tmp"):
                left.unlink()
            number = 1 + max((int(path.name[:6]) for path in self._files()), default=0)
            night = night.model_copy(update={"number": number})
            final = self.path / f"{number:06}-{night.day}.json"
            temporary = self.path / f".{final.name}.tmp"
            with temporary.open("wb") as file:
                file.write(to_bytes(night))
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link never replaces what is there.
            os.link(temporary, final)
            temporary.unlink()
            _sync(self.path)
        return night

    def _files(self) -> list[Path]:
        if not self.path.is_dir():
            return []
        return sorted(path for path in self.path.iterdir() if _NAME.fullmatch(path.name))


def to_bytes(night: Night) -> bytes:
    """A night as its file has it."""
    record = night.model_dump(mode="json", exclude_defaults=True)
    whole = {"sha256": _digest(record), "night": record}
    return (json.dumps(whole, indent=0, sort_keys=True) + "\n").encode()


def _read(path: Path) -> Night:
    """Raises `ResultsError` for a file that is torn, altered or from a later version."""
    try:
        whole = json.loads(path.read_bytes())
        record, digest = whole["night"], whole["sha256"]
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ResultsError(f"not a night: {error}", where=str(path)) from None
    if digest != _digest(record):
        raise ResultsError("altered since it was written: its sha256 differs", where=str(path))
    version = record.get("version", VERSION)
    if version > VERSION:
        raise ResultsError(f"version {version}; this harness reads up to {VERSION}")
    try:
        return Night.model_validate(record)
    except ValueError as error:
        raise ResultsError(f"not a night: {error}", where=str(path)) from None


def _digest(record: object) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _sync(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_csv(nights: Iterable[Night]) -> bytes:
    """The whole history, a row for each figure of each night."""
    rows = [_row(night, index) for night in nights for index in range(len(night.figures))]
    return table.to_csv(table.frame(rows, COLUMNS))


def _row(night: Night, index: int) -> dict[str, object]:
    figure = night.figures[index]
    own = f"variant {figure.variant} "
    facts = {key: night.inputs.get(key) for key in ("qemu_version", "accel", "host", "host_kernel")}
    return {
        **figure.model_dump(),
        **facts,
        "number": night.number,
        "date": night.day.isoformat(),
        "base_version": night.base,
        "results": night.results,
        **{
            key: night.inputs.get(own + key)
            for key in ("tree", "config_sha256", "toolchain", "boot")
        },
    }


def by_day(nights: Sequence[Night], day: object) -> Night | None:
    """The night of a date, the last one if there are more."""
    return next((night for night in reversed(nights) if night.day == day), None)
