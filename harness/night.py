# SPDX-License-Identifier: GPL-2.0-only
"""One night of the history: its figures, boots that failed, and what they depend on. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date

import pandas as pd
from pydantic import Field
from scipy import stats

from harness.dataset import Dataset
from harness.lock import Lock
from harness.model import Model
from harness.record import GOOD, Clock, Kernel
from harness.series import RSS, Subject, series_of

VERSION = 1

INSTRUMENT = ("host", "host_cpu", "host_cpus", "host_kernel", "qemu_version", "accel")
"""What the seconds of a boot depend on, whatever the kernel: other seconds are not comparable."""


class Figure(Model):
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

    @property
    def subject(self) -> Subject:
        return Subject(self.machine, self.clock, self.name, self.metric)


class Failure(Model):
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
    figures: tuple[Figure, ...] = ()
    failures: tuple[Failure, ...] = ()
    mismatches: tuple[str, ...] = ()
    """repeats of a cell of the work clock that are not the same"""
    damage: tuple[str, ...] = ()
    """evidence that could not be read"""


def night_of(found: Dataset, day: date, results: str) -> Night:
    """What is kept of a night's dataset; it has a lock."""
    lock = found.lock
    assert lock
    boots = found.runs[~found.runs["warmup"]]
    started = found.runs["started_utc"].dropna()
    return Night(
        day=day,
        started_utc=str(started.min()) if len(started) else "",
        base=lock.base,
        results=results,
        lock=lock.hash,
        inputs=inputs(lock),
        figures=tuple(_figures(found)),
        failures=tuple(_failures(boots)),
        mismatches=tuple(map(str, found.repeats.mismatches)),
        damage=tuple(f"{item.path}: {item.reason}" for item in found.damage),
    )


def _figures(found: Dataset) -> Iterator[Figure]:
    if not found.runs["outcome"].isin(GOOD).any():
        return
    for subject, variants in series_of(found).items():
        for variant, series in variants.items():
            yield Figure(
                variant=variant,
                machine=subject.machine,
                clock="work" if subject.clock == "work" else "time",
                name=subject.name,
                metric=subject.metric,
                value=series.median,
                n=len(series.values),
                spread=float(stats.median_abs_deviation(series.values)),
                exact=subject.clock == "work" and subject.metric != RSS and series.exact,
            )


def _failures(boots: pd.DataFrame) -> Iterator[Failure]:
    for row in boots[~boots["outcome"].isin(GOOD)].fillna({"reason": ""}).to_dict("records"):
        yield Failure.model_validate({key: row[key] for key in Failure.model_fields})


def inputs(lock: Lock) -> dict[str, str]:
    """What the figures of a night depend on, each thing under a name of its own."""
    facts = lock.environment.model_dump(mode="json")
    found = {"base": lock.base, "initramfs": lock.initramfs_sha256[:16]}
    found |= {key: str(facts[key]) for key in INSTRUMENT}
    asked = lock.experiment.model_dump(mode="json", include={"probes", "boot", "limits"})
    found["experiment"] = _digest(asked)
    for name, machine in lock.machines.items():
        found[f"machine {name}"] = _digest(machine.model_dump(mode="json", exclude={"description"}))
    for name, variant in lock.variants.items():
        kernel = lock.kernels[name]
        facts = kernel.model_dump() if isinstance(kernel, Kernel) else {}
        for key in ("tree", "config_sha256", "toolchain"):
            found[f"variant {name} {key}"] = str(facts.get(key) or "")
        found[f"variant {name} boot"] = " ".join(variant.boot)
    return found


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
