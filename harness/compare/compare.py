# SPDX-License-Identifier: GPL-2.0-only
"""A dataset against its baseline: effects, exact counts, success rates, growth, suspects. Pure.

The time clock is noisy and is tested. The host's memory is nearly exact, so ranges and a floor
settle it; the work clock is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from harness.compare.effect import Effect, centre, floored, paired, shift, unpaired
from harness.compare.fit import Fit, fit
from harness.compare.noise import noise
from harness.compare.series import RSS, Series, Subject, Table, pair, sides_of
from harness.compare.success import Success, failing, successes
from harness.compare.verdict import Interest, Verdict, but_fails, decide
from harness.compare.warnings import Suspect, arms_fail, strange, suspects
from harness.dataset import Dataset, untold
from harness.errors import UserError
from harness.model import TOUCHES, first_arm, is_arm, peer
from harness.units import MIB


@dataclass(frozen=True)
class CompareOptions:
    """What is compared with what, and which effects are of interest."""

    baseline: str | None = None
    metrics: tuple[str, ...] = ()
    part: float = 0.02
    seconds: float = 0.005
    bytes: int = 16 * MIB

    def interest(self, metric: str) -> Interest:
        """The smallest effect of interest; no amount is set for a time per page."""
        amounts = {"duration_s": self.seconds, "busy_s": self.seconds, RSS: float(self.bytes)}
        return Interest(self.part, amounts.get(metric, 0.0))


@dataclass(frozen=True)
class Tested:
    """A noisy figure of a variant against the baseline's; `difference` is in its own unit."""

    subject: Subject
    variant: str
    baseline: str
    median: float
    base_median: float
    difference: float
    effect: Effect
    verdict: Verdict


@dataclass(frozen=True)
class Family:
    """Tests whose p are adjusted together, for one question asked of all of them."""

    name: str
    tests: tuple[Tested, ...]


@dataclass(frozen=True)
class Exact:
    """A count of the work clock against the baseline's. It is a count, never a time."""

    subject: Subject
    variant: str
    baseline: str
    count: int
    base_count: int
    floor: int = 0
    """by how much one kernel differs from itself under another command line"""
    waits: bool = False
    """on one side at least it holds waits that were not recorded apart from work"""

    @property
    def difference(self) -> int:
        return self.count - self.base_count

    @property
    def word(self) -> str:
        if not self.difference:
            return "identical"
        if self.waits:
            return "cannot be compared"
        return "within the floor" if abs(self.difference) <= self.floor else "changed"


@dataclass(frozen=True)
class Defect:
    """Repeats of a work-clock cell that differ, or its second arm: a fault of the harness."""

    subject: Subject
    variant: str
    counts: dict[int, int]
    """by block"""


@dataclass(frozen=True)
class Gap:
    """Blocks in which a figure is 0 on one side, so that it has no ratio: they are left out."""

    subject: Subject
    variant: str
    baseline: str
    blocks: int
    left_out: int


@dataclass(frozen=True)
class Growth:
    """How a figure of a variant grows with memory.

    There is no line where there are under 3 sizes, nor where it `waits`: a wait follows from timers
    and not from memory.
    """

    clock: str
    name: str
    metric: str
    variant: str
    sizes: int
    line: Fit | None
    waits: bool = False


@dataclass(frozen=True)
class Comparison:
    """All that a dataset says against its baseline, or against another dataset."""

    options: CompareOptions
    baseline: str | None
    families: tuple[Family, ...]
    exact: tuple[Exact, ...]
    defects: tuple[Defect, ...]
    success: tuple[Success, ...]
    growth: tuple[Growth, ...]
    gaps: tuple[Gap, ...]
    suspects: tuple[Suspect, ...]
    paired: bool = True
    base: Dataset | None = None


def compare_variants(
    dataset: Dataset, options: CompareOptions, against: Dataset | None = None
) -> Comparison:
    """Each variant against the baseline in the same blocks, or against itself in `against`."""
    baseline = options.baseline or (dataset.lock.experiment.baseline if dataset.lock else None)
    if against is not None:
        baseline = options.baseline
    _need(baseline, dataset if against is None else against, optional=against is not None)
    mine, theirs, strangers = sides_of(dataset, against, options.metrics)
    pairs = tuple(_pairs(mine, theirs, baseline, same=against is None))
    booted = successes(dataset.runs, (dataset if against is None else against).runs, baseline)
    families = tuple(_families(pairs, options, failing(booted), together=against is None))
    return Comparison(
        options,
        baseline,
        families,
        tuple(_exact(pairs, untold(dataset.phases), untold((against or dataset).phases))),
        tuple(_defects(mine)),
        booted,
        tuple(_growth(mine, dataset.runs, untold(dataset.phases))),
        tuple(_gaps(pairs, together=against is None)),
        (
            *arms_fail(booted),
            *strange(strangers),
            *suspects(dataset, mine, baseline, options.interest),
        ),
        paired=against is None,
    )


def _need(baseline: str | None, dataset: Dataset, optional: bool) -> None:
    known = sorted(map(str, set(dataset.runs["variant"])))
    if baseline is not None and any(peer(baseline, name) in known for name in known):
        return
    if not (optional and baseline is None):
        named = "no baseline" if baseline is None else f"no variant called {baseline!r}"
        raise UserError(named, where="--baseline", remedy=f"there are: {', '.join(known)}")


@dataclass(frozen=True)
class _Pair:
    subject: Subject
    variant: str
    series: Series
    baseline: str
    base: Series


def _pairs(mine: Table, theirs: Table, baseline: str | None, same: bool) -> Iterator[_Pair]:
    for subject, variants in mine.items():
        for variant, series in variants.items():
            name = peer(baseline, variant) if baseline else variant
            base = theirs.get(subject, {}).get(name)
            if base is not None and not (same and variant == name):
                yield _Pair(subject, variant, series, name, base)


def _families(
    pairs: Sequence[_Pair], options: CompareOptions, failing: Collection[str], together: bool
) -> Iterator[Family]:
    """Times, A/A times and memory are three questions; each has its family."""
    kinds: dict[str, Callable[[_Pair], bool]] = {
        "time clock": lambda p: p.subject.metric != RSS and not is_arm(p.variant),
        "time clock, A/A": lambda p: p.subject.metric != RSS and is_arm(p.variant),
        "host memory": lambda p: p.subject.metric == RSS and not is_arm(p.variant),
    }
    for name, belongs in kinds.items():
        chosen = [p for p in pairs if belongs(p) and (p.subject.clock == "time" or name[0] == "h")]
        tests = list(_tests(chosen, options, together))
        if not tests:
            continue
        words = ("less", "more") if name == "host memory" else ("faster", "slower")
        bounds = [options.interest(t.subject.metric).bounds(t.base_median) for t in tests]
        effects = [t.effect for t in tests]
        verdicts = decide(effects, bounds, words, options.part)  # type: ignore[arg-type]
        told = tuple(
            replace(t, verdict=but_fails(v) if t.variant in failing else v)
            for t, v in zip(tests, verdicts, strict=True)
        )
        yield Family(f"{name}: {_members(told)}", told)


def _members(tests: Sequence[Tested]) -> str:
    counts = (
        (len({t.variant for t in tests}), "variant"),
        (len({t.subject.machine for t in tests}), "machine"),
        (len({t.subject.name for t in tests}), "metric"),
    )
    parts = ", ".join(f"{n} {word}{'s' * (n > 1)}" for n, word in counts)
    return f"{len(tests)} test{'s' * (len(tests) > 1)} of {parts}"


_OPEN = Verdict("inconclusive", 1.0)


def _tests(pairs: Sequence[_Pair], options: CompareOptions, together: bool) -> Iterator[Tested]:
    for p in pairs:
        a, b = pair(p.series, p.base) if together else (_sound(p.series), _sound(p.base))
        if not len(a) or not len(b):
            continue
        medians = float(np.median(a)), float(np.median(b))
        if p.subject.metric == RSS:
            effect = floored(a, b, noise().memory_bytes)
            difference = medians[0] - medians[1]
        else:
            effect = paired(a, b) if together else unpaired(a, b)
            difference = float(centre(a - b) if together else shift(a, b))
        yield Tested(p.subject, p.variant, p.baseline, *medians, difference, effect, _OPEN)


def _gaps(pairs: Sequence[_Pair], together: bool) -> Iterator[Gap]:
    for p in pairs:
        if p.subject.clock == "work" and p.subject.metric != RSS:
            continue
        if together:
            blocks = len(np.intersect1d(p.series.blocks, p.base.blocks))
            sound = len(pair(p.series, p.base)[0])
        else:
            blocks = min(len(p.series.values), len(p.base.values))
            sound = min(len(_sound(p.series)), len(_sound(p.base)))
        if sound < blocks:
            yield Gap(p.subject, p.variant, p.baseline, blocks, blocks - sound)


def _sound(series: Series) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return series.values[series.values > 0]


Waiting = frozenset[tuple[str, str]]
"""Variants and phases whose counts hold waits that were not recorded apart."""


def _exact(pairs: Sequence[_Pair], mine: Waiting, theirs: Waiting) -> Iterator[Exact]:
    for p in pairs:
        if p.subject.clock == "work" and p.subject.metric != RSS:
            counts = int(p.series.values[0]), int(p.base.values[0])
            floor = noise().work.get(p.subject.name, 0)
            name = p.subject.name
            waits = (p.variant, name) in mine or (p.baseline, name) in theirs
            waits &= p.subject.source != "profile"
            yield Exact(p.subject, p.variant, p.baseline, *counts, floor, waits)


def _defects(table: Table) -> Iterator[Defect]:
    for subject, variants in table.items():
        if subject.clock != "work" or subject.metric == RSS:
            continue
        for variant, series in variants.items():
            first = variants.get(first_arm(variant), series).values[0]
            if not series.exact or series.values[0] != first:
                counts = dict(zip(series.blocks.tolist(), map(int, series.values), strict=True))
                yield Defect(subject, variant, counts)


def _growth(
    table: Table, runs: pd.DataFrame, waiting: frozenset[tuple[str, str]]
) -> Iterator[Growth]:
    memory = dict(runs[["machine", "memory_bytes"]].dropna().drop_duplicates().to_numpy().tolist())
    medians: dict[tuple[str, str, str, str, str], dict[int, float]] = {}
    for subject, variants in table.items():
        if subject.machine in memory:
            for variant, series in variants.items():
                key = (subject.clock, subject.name, subject.metric, variant, subject.source)
                medians.setdefault(key, {})[memory[subject.machine]] = series.median
    for (clock, name, metric, variant, source), sizes in medians.items():
        if not is_arm(variant) and name not in TOUCHES:
            waits = clock == "work" and (variant, name) in waiting and source != "profile"
            line = None if waits else fit(sizes)
            yield Growth(clock, name, metric, variant, len(sizes), line, waits)
