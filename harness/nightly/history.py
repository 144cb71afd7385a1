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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field
from scipy import stats

from harness.compare import RSS, Subject, centre, pair, series_of
from harness.dataset import Column, Dataset, tables
from harness.errors import ResultsError
from harness.files import disk_errors, locked, read_plain
from harness.foreign import MAX_JSON, read_json
from harness.model import GOOD, Clock, Kernel, Lockfile, Model, base_of, definition, on_base
from harness.results import Damage

VERSION = 1

INSTRUMENT = ("host", "host_cpu", "host_cpus", "host_kernel", "qemu_version", "accel")
"""What the seconds of a boot depend on, whatever the kernel: other seconds are not comparable."""


class Measurement(Model):
    """The median over the blocks of one night."""

    variant: str
    machine: str
    clock: Clock
    name: str
    """a phase, a pass of touch, or host_rss_peak_bytes"""
    metric: str
    """what the value is: a column of the dataset"""
    value: float
    n: int
    """boots"""
    spread: float = 0.0
    """their median absolute deviation"""
    exact: bool = False
    """a count of the work clock: the same in every boot"""
    source: Literal["", "profile"] = Field(default="", exclude_if=lambda value: not value)
    """`profile` where functions tell a phase"""

    @property
    def subject(self) -> Subject:
        return Subject(self.machine, self.clock, self.name, self.metric, self.source)


class Pair(Model):
    """A figure of tonight's kernel beside that of the kernel of the night before, booted again.

    Both booted in every block of this night, on this host: its mood is the same for both.
    """

    variant: str
    machine: str
    clock: Clock
    name: str
    metric: str
    before: float
    """median of the kernel of the night before, tonight"""
    change: float
    """logarithm of the ratio: the centre of those of the blocks"""
    spread: float
    """standard deviation of the ratios' logarithms"""
    n: int
    """blocks"""

    @property
    def subject(self) -> Subject:
        return Subject(self.machine, self.clock, self.name, self.metric)


class FailedBoot(Model):
    """A boot that did not come to its end. `reason` may be guest text: escape it."""

    variant: str
    machine: str
    clock: Clock
    block: int
    outcome: str
    reason: str = ""


class Night(Model):
    """One night. `number` is its place in the history, whatever its date says."""

    version: int = VERSION
    number: int = 0
    day: date
    started_utc: str = ""
    base: str = ""
    """version of the base source"""
    results: str = ""
    """the folder with the dataset, while it is there"""
    lock: str = ""
    inputs: dict[str, str] = Field(default_factory=dict)
    """what the figures depend on: of all, of a machine (`machine NAME`), of a variant
    (`variant NAME tree`, `config_sha256`, `toolchain`, `boot`)"""
    kernels: dict[str, str] = Field(default_factory=dict)
    """the id of each variant's kernel"""
    patches: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """of each variant, `SERIES/PATCH` and the begin of its sha256, in order"""
    figures: tuple[Measurement, ...] = ()
    pairs: tuple[Pair, ...] = ()
    failures: tuple[FailedBoot, ...] = ()
    mismatches: tuple[str, ...] = ()
    """repeats of a cell of the work clock that are not the same"""
    damage: tuple[str, ...] = ()
    """evidence that could not be read"""


BEFORE = "-before"
"""What a variant's kernel of the night before is called: its name, and this."""


def before(variant: str) -> str:
    """The name in a schedule of a kernel of the night before."""
    return on_base(definition(variant) + BEFORE, base_of(variant))


def is_before(variant: str) -> bool:
    """Whether a name in a schedule is that of a kernel of the night before."""
    return definition(variant).endswith(BEFORE)


def night_of(found: Dataset, day: date, results: str) -> Night:
    """What is kept of a night's dataset; it has a lock."""
    lock = found.lock
    assert lock
    boots = found.runs[~found.runs["warmup"] & ~found.runs["variant"].map(is_before).astype(bool)]
    started = found.runs["started_utc"].dropna()
    return Night(
        day=day,
        started_utc=str(started.min()) if len(started) else "",
        base=lock.base,
        results=results,
        lock=lock.hash,
        inputs=inputs(lock),
        kernels={
            name: kernel.kernel_id
            for name, kernel in lock.kernels.items()
            if isinstance(kernel, Kernel) and not is_before(name)
        },
        figures=tuple(_figures(found)),
        pairs=tuple(_pairs(found)),
        failures=tuple(_failures(boots)),
        mismatches=tuple(map(str, found.repeats.mismatches)),
        damage=tuple(f"{item.path}: {item.reason}" for item in found.damage),
    )


def _figures(found: Dataset) -> Iterator[Measurement]:
    if not found.runs["outcome"].isin(GOOD).any():
        return
    for subject, variants in series_of(found).items():
        for variant, series in variants.items():
            if is_before(variant):
                continue
            yield Measurement(
                variant=variant,
                machine=subject.machine,
                clock="work" if subject.clock == "work" else "time",
                name=subject.name,
                metric=subject.metric,
                value=series.median,
                n=len(series.values),
                spread=float(stats.median_abs_deviation(series.values)),
                exact=subject.clock == "work" and subject.metric != RSS and series.exact,
                source="profile" if subject.source == "profile" else "",
            )


def _pairs(found: Dataset) -> Iterator[Pair]:
    if not found.runs["variant"].map(is_before).any():
        return
    for subject, variants in series_of(found).items():
        for variant, series in variants.items():
            there = before(variant) in variants and subject.clock != "work"
            if not there or subject.metric == RSS:
                continue
            mine, theirs = pair(series, variants[before(variant)])
            if len(mine) < 2:
                continue
            logs = np.log(mine / theirs)
            yield Pair(
                variant=variant,
                machine=subject.machine,
                clock="time",
                name=subject.name,
                metric=subject.metric,
                before=float(np.median(theirs)),
                change=float(centre(logs)),
                spread=float(np.std(logs, ddof=1)),
                n=len(logs),
            )


def _failures(boots: pd.DataFrame) -> Iterator[FailedBoot]:
    for row in boots[~boots["outcome"].isin(GOOD)].fillna({"reason": ""}).to_dict("records"):
        yield FailedBoot.model_validate({key: row[key] for key in FailedBoot.model_fields})


def inputs(lock: Lockfile) -> dict[str, str]:
    """What the figures of a night depend on, each thing under a name of its own."""
    facts = lock.environment.model_dump(mode="json")
    found = {"base": lock.base, "initramfs": lock.initramfs_sha256[:16]}
    found |= {key: str(facts[key]) for key in INSTRUMENT}
    asked = lock.experiment.model_dump(mode="json", include={"probes", "boot", "limits"})
    found["experiment"] = _digest(asked)
    for name, machine in lock.machines.items():
        found[f"machine {name}"] = _digest(machine.model_dump(mode="json", exclude={"description"}))
    for name, variant in lock.variants.items():
        if is_before(name):
            continue
        kernel = lock.kernels[name]
        facts = kernel.model_dump() if isinstance(kernel, Kernel) else {}
        for key in ("tree", "config_sha256", "toolchain"):
            found[f"variant {name} {key}"] = str(facts.get(key) or "")
        found[f"variant {name} boot"] = " ".join(variant.boot)
    return found


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


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
    whole = {"sha256": _checksum(record), "night": record}
    return (json.dumps(whole, indent=0, sort_keys=True) + "\n").encode()


def _read(path: Path) -> Night:
    """Raises `ResultsError` for a file that is torn, altered or from a later version."""
    try:
        # Two names, where a writer was killed before it took the first one away.
        whole = read_json(read_plain(path, MAX_JSON, names=2))
        record, digest = whole["night"], whole["sha256"]
        version = int(record.get("version", VERSION))
    except (ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"not a night: {error}", where=str(path)) from None
    if digest != _checksum(record):
        raise ResultsError("altered since it was written: its sha256 differs", where=str(path))
    if version > VERSION:
        raise ResultsError(f"version {version}; this harness reads up to {VERSION}")
    try:
        return Night.model_validate(record)
    except ValueError as error:
        raise ResultsError(f"not a night: {error}", where=str(path)) from None


def _checksum(record: object) -> str:
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
    return tables.to_csv(tables.frame(rows, COLUMNS))


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
