# SPDX-License-Identifier: GPL-2.0-only
"""Nights made from numbers: a year with known steps, known noise, and known changes of input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from harness.nightly import prune
from harness.nightly.bisections import bisections
from harness.nightly.changes import Tolerance, changes, status
from harness.nightly.dashboard import Board
from harness.nightly.history import FailedBoot, Measurement, Night
from tests.support.checkout import ROOT

FIRST = date(2026, 1, 1)
INPUTS = {
    "base": "6.12.1-1",
    "qemu_version": "7.2.22",
    "host": "h",
    "machine small": "m1",
    "variant eager tree": "a" * 40,
    "variant lazy tree": "b" * 40,
}
REAL = ROOT / "results/reference/nightly"
SHAPES = ("lognormal", "heavy tail", "outliers")


@dataclass(frozen=True)
class Year:
    """`steps` multiply the figures of a phase from a night on: {phase: {night: factor}}.

    Phases of `counts` are instructions, those of `seconds` are noisy. `inputs` change from a night
    on, for good.
    """

    nights: int = 365
    variants: Sequence[str] = ("eager",)
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    inputs: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    failures: Mapping[int, FailedBoot] = field(default_factory=dict)
    noise: float = 0.02
    shape: str = "lognormal"
    seed: int = 1


def make(year: Year) -> list[Night]:
    """The nights of a year, numbered from 1."""
    draw = np.random.default_rng(year.seed)
    nights, inputs = [], dict(INPUTS)
    for place in range(year.nights):
        inputs |= year.inputs.get(place, {})
        figures = []
        for variant in year.variants:
            for clock, phases in (("work", year.counts), ("time", year.seconds)):
                for name, base in phases.items():
                    value = base * _factor(year, name, place)
                    if clock == "time":
                        value *= float(np.exp(noise(draw, year.shape, year.noise)))
                    figures.append(_figure(variant, clock, name, value))
        failed = (year.failures[place],) if place in year.failures else ()
        nights.append(
            Night(
                number=place + 1,
                day=FIRST + timedelta(days=place),
                base=inputs["base"],
                inputs=dict(inputs),
                figures=tuple(figures),
                failures=failed,
            )
        )
    return nights


def noise(draw: np.random.Generator, shape: str, size: float) -> float:
    """One draw: lognormal; Student's t of 3 degrees; or one night in twenty a third longer."""
    if shape == "heavy tail":
        return float(size * draw.standard_t(3))
    extra = 0.3 if shape == "outliers" and draw.random() < 0.05 else 0.0
    return float(draw.normal(0, size) + extra)


def _factor(year: Year, name: str, place: int) -> float:
    factors = [f for night, f in year.steps.get(name, {}).items() if night <= place]
    return float(np.prod(factors)) if factors else 1.0


def _figure(variant: str, clock: str, name: str, value: float) -> Measurement:
    exact = clock == "work"
    return Measurement(
        variant=variant,
        machine="small",
        clock=clock,
        name=name,
        metric="instructions" if exact else "duration_s",
        value=round(value) if exact else value,
        n=1 if exact else 5,
        exact=exact,
    )


def board(nights, damage=()):
    found = changes(nights, Tolerance())
    asked = bisections(nights, found)
    return Board(nights, found, damage, status(found, nights[-1].number), asked)


def bad_night():
    evil = "<script>alert(1)</script> | \x1b[31m # \x00"
    failure = FailedBoot(
        **{"variant": "eager", "machine": "small", "clock": "work"},
        block=0,
        outcome="panic",
        reason=evil,
    )
    return make(
        Year(
            nights=6,
            counts={"memmap_init": 10**7},
            steps={"memmap_init": {5: 2.0}},
            failures={5: failure},
        )
    )


def littered(folder: Path, days: int) -> Path:
    """A folder with evidence and reports of so many days, and one that is no night's."""
    for n in range(days):
        day = FIRST + timedelta(days=n)
        for part in prune.PARTS:
            path = folder / part / day.isoformat()
            path.mkdir(parents=True)
            (path / "data").write_bytes(b"x" * 1000)
    (folder / "history").mkdir(exist_ok=True)
    (folder / "history/000001-2026-01-01.json").write_text("{}")
    (folder / "boots/mine").mkdir()
    return folder
