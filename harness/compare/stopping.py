# SPDX-License-Identifier: GPL-2.0-only
"""When to stop adding blocks: once the intervals are narrow, looked at on a fixed schedule.

What is looked at is the width of an interval, never a p: to stop when a test says yes would find
something sooner or later. The looks are few and known beforehand, and each is kept in the results
folder: who reads the numbers has to know how it was decided that there are enough of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from harness.compare.effect import paired
from harness.compare.series import pair, series_of
from harness.dataset import Dataset, collate
from harness.errors import UserError
from harness.files import append_line, read_plain
from harness.model import Experiment, Model, Slot, is_arm, peer
from harness.results import Damage, Results
from harness.run import Session, Steps

BLOCKS = (6, 12, 24, 48)
"""Blocks of the time clock at which the intervals are looked at."""

FILE = "looks.jsonl"


class Width(Model):
    """The width of one interval."""

    machine: str
    """the machine"""
    variant: str
    """the variant that is compared with the baseline"""
    blocks: int
    """blocks in which both booted well"""
    part: float | None
    """half the 95 % interval of the ratio, as a part of it; none from under 6 blocks"""


class Look(Model):
    """What was seen after so many blocks: a line of looks.jsonl."""

    at_utc: str
    """when"""
    blocks: int
    """how many blocks of the time clock were asked for"""
    metric: str
    """what was looked at"""
    wanted: float
    """how narrow every interval had to be, as a part"""
    widths: tuple[Width, ...]
    """what was seen"""

    @property
    def widest(self) -> Width | None:
        return max(self.widths, key=lambda w: math.inf if w.part is None else w.part, default=None)

    @property
    def reached(self) -> bool:
        """Whether every interval is as narrow as was asked for."""
        widths = [w.part for w in self.widths]
        return bool(widths) and all(w is not None and w <= self.wanted for w in widths)

    def __str__(self) -> str:
        head, widest = f"look at {self.blocks} blocks, {self.metric}: ", self.widest
        if widest is None:
            return head + "nothing to compare"
        seen = "no interval" if widest.part is None else f"±{widest.part:.1%}"
        cell = f"{widest.variant} on {widest.machine}"
        return head + f"widest is {seen} ({cell}), wanted ±{self.wanted:.1%}"


def parse_width(text: str) -> float:
    """``2%`` as a part; raises `UserError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text.strip())
    if not match or not 0 < float(match[1]) < 100:
        raise UserError(f"not a width: {text!r}", where="--until", remedy="write 2% or 0.5%")
    return float(match[1]) / 100


def schedule(experiment: Experiment, looks: Sequence[int] = BLOCKS) -> Iterator[int]:
    """The blocks of the experiment itself, if they are many, and those of `looks` above.

    Raises `UserError` where nothing boots by the time clock.
    """
    plans = [g.clocks["time"].blocks for g in experiment.matrix if "time" in g.clocks]
    if not plans:
        raise UserError("no group boots by the time clock", where="--until")
    own = max(plans)
    yield from sorted({max(own, blocks) for blocks in looks})


def look(dataset: Dataset, experiment: Experiment, metric: str, wanted: float, blocks: int) -> Look:
    """The width of the interval of `metric` for each variant and machine of the time clock."""
    widths = []
    for subject, variants in series_of(dataset, (metric,)).items():
        if subject.clock != "time":
            continue
        for variant, series in variants.items():
            baseline = peer(experiment.baseline, variant)
            base = variants.get(baseline)
            if base is None or variant == baseline or is_arm(variant):
                continue
            a, b = pair(series, base)
            half = paired(a, b).width if len(a) else None
            part = None if half is None else math.expm1(half)
            widths.append(Width(machine=subject.machine, variant=variant, blocks=len(a), part=part))
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Look(at_utc=now, blocks=blocks, metric=metric, wanted=wanted, widths=tuple(widths))


def until(
    metric: str, wanted: float, tell: Callable[[Look], None], looks: Sequence[int] = BLOCKS
) -> Steps:
    """Boots up to each look in turn; no further once every interval is as narrow as wanted."""

    def steps(session: Session, results: Results) -> Iterator[Sequence[Slot]]:
        for blocks in schedule(session.experiment, looks):
            yield session.experiment.schedule(blocks)
            seen = look(collate(results), session.experiment, metric, wanted, blocks)
            keep(results.path, seen)
            tell(seen)
            if seen.reached or not seen.widths:
                return

    return steps


def keep(folder: Path, seen: Look) -> None:
    """Adds a look to those of a results folder, whose lock is held; a start that only goes on
    sees what was seen before, which is no other look."""
    known, _ = read(folder)
    if any(seen == other.model_copy(update={"at_utc": seen.at_utc}) for other in known):
        return
    append_line(folder / FILE, seen.model_dump_json())


def read(folder: Path) -> tuple[list[Look], list[Damage]]:
    """The looks of a results folder in their order, and the lines that are none."""
    looks, damage, path = [], [], folder / FILE
    try:
        data = read_plain(path)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [Damage(path, f"cannot be read: {error.strerror}")]
    for number, line in enumerate(data.splitlines(), 1):
        try:
            looks.append(Look.model_validate_json(line))
        except ValidationError:
            damage.append(Damage(path, f"line {number} is no look"))
    return looks, damage
