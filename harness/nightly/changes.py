# SPDX-License-Identifier: GPL-2.0-only
"""What changed from night to night, and which of it is a regression. Pure.

Counts of the work clock are exact: any difference from the night before is a change and is named
with the inputs that changed too. Seconds are compared with those of the kernel of the night before,
where that booted beside tonight's (`nightly.pairs`); else, as memory, by the steps of their series
(`nightly.steps`). A boot that fails is a regression every night that it fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from harness.compare import RSS, CompareOptions, Interest, Subject, noise
from harness.model import HOST_FAULT
from harness.nightly.history import INSTRUMENT, Measurement, Night, Pair
from harness.nightly.pairs import growth
from harness.nightly.steps import jumps, steps

Kind = Literal["exact", "pair", "step", "failed", "missing", "not the same", "damaged"]


EXACT = Interest(0.01, 10_000)
"""Counts are exact, and every new base moves some: less than this is named, and no regression."""

LASTING = 3
"""Nights that an improvement has to last before growth is measured from it."""

OPTIONAL = frozenset({"deferred_init"})
"""Phases that a kernel may do without."""


@dataclass(frozen=True)
class Tolerance:
    """From where a change is a regression."""

    exact: Interest = EXACT
    noisy: CompareOptions = field(default_factory=CompareOptions)


@dataclass(frozen=True)
class Change:
    """Something that was otherwise before. `night` is when it began, `found` when it was sure.

    `before` and `after` are in the unit of the metric. `text` may hold guest text: escape it.
    """

    kind: Kind
    night: int
    found: int
    variant: str
    subject: Subject
    before: float | None = None
    after: float | None = None
    regression: bool = False
    improvement: bool = False
    infrastructure: bool = False
    inputs: tuple[str, ...] = ()
    text: str = ""

    @property
    def matters(self) -> bool:
        """Whether it is more than a count that is not quite what it was."""
        return self.kind != "exact" or self.regression or self.improvement

    @property
    def size(self) -> float:
        """How far from no change, whichever way; what has no ratio is beyond all that have."""
        if self.before and self.after:
            return abs(math.log(self.after / self.before))
        return math.inf if self.matters else 0.0

    @property
    def ratio(self) -> float | None:
        return self.after / self.before if self.before and self.after is not None else None


Line = dict[tuple[Subject, str], list[tuple[int, Measurement]]]
"""The figures of each subject and variant, with the place of their night in the list of nights."""


def changes(nights: Sequence[Night], tolerance: Tolerance) -> list[Change]:
    """Everything that ever changed, in the order in which it was found."""
    found = [*_failures(nights), *_missing(nights)]
    beside = _beside(nights)
    for (subject, variant), points in lines(nights).items():
        if all(_counted(figure) for _, figure in points):
            found += _exact(nights, subject, variant, points, tolerance.exact)
            continue
        paired = beside.get((subject, variant), [])
        alone = [point for point in points if not paired or point[0] < paired[0][0]]
        found += _steps(nights, subject, variant, alone, tolerance.noisy)
        found += _pairs(nights, subject, variant, paired, tolerance.noisy)
    return sorted(found, key=lambda change: change.found)


def lines(nights: Sequence[Night]) -> Line:
    """Every series of the history."""
    found: Line = {}
    for place, night in enumerate(nights):
        for figure in night.figures:
            found.setdefault((figure.subject, figure.variant), []).append((place, figure))
    return found


def _beside(nights: Sequence[Night]) -> dict[tuple[Subject, str], list[tuple[int, Pair]]]:
    found: dict[tuple[Subject, str], list[tuple[int, Pair]]] = {}
    for place, night in enumerate(nights):
        for pair in night.pairs:
            found.setdefault((pair.subject, pair.variant), []).append((place, pair))
    return found


def _counted(figure: Measurement) -> bool:
    """Whether this ought to be exact: instructions are, whether or not repeats agreed."""
    return figure.metric.endswith("instructions")


def _exact(
    nights: Sequence[Night],
    subject: Subject,
    variant: str,
    points: Sequence[tuple[int, Measurement]],
    interest: Interest,
) -> Iterator[Change]:
    """Growth is measured from the lowest level that lasted, so small steps of it add up, and a
    night that was better by accident makes no regression of the night after it."""
    measure = points[0][1].value
    for number, ((earlier, old), (place, new)) in enumerate(pairwise(points), 1):
        worse = new.value - measure > max(interest.part * measure, interest.amount)
        better = old.value - new.value > max(interest.part * old.value, interest.amount)
        lately = [figure.value for _, figure in points[: number + 1][-LASTING:]]
        if worse:
            measure = new.value
        elif len(lately) == LASTING:
            measure = min(measure, max(lately))
        if old.value != new.value:
            yield Change(
                kind="exact",
                night=nights[place].number,
                found=nights[place].number,
                variant=variant,
                subject=subject,
                before=old.value,
                after=new.value,
                regression=worse,
                improvement=better and not worse,
                inputs=moved(nights[earlier], nights[place], variant, subject.machine),
            )


def _steps(
    nights: Sequence[Night],
    subject: Subject,
    variant: str,
    points: Sequence[tuple[int, Measurement]],
    options: CompareOptions,
) -> Iterator[Change]:
    sound = [(nights[place], figure.value) for place, figure in points if figure.value > 0]
    depends = [_instrument(night, subject) for night, _ in sound]
    fresh = {n for n in range(1, len(sound)) if depends[n - 1] != depends[n]}
    values, interest = [value for _, value in sound], options.interest(subject.metric)
    if subject.metric == RSS:
        found = jumps(values, interest, noise().memory_bytes, fresh)
    else:
        found = steps(values, interest, fresh)
    for step in found:
        before, start, sure = (sound[n][0] for n in (step.start - 1, step.start, step.found))
        yield Change(
            kind="step",
            night=start.number,
            found=sure.number,
            variant=variant,
            subject=subject,
            before=step.before,
            after=step.after,
            regression=step.after > step.before,
            improvement=step.after < step.before,
            inputs=moved(before, start, variant, subject.machine),
        )


def _pairs(
    nights: Sequence[Night],
    subject: Subject,
    variant: str,
    points: Sequence[tuple[int, Pair]],
    options: CompareOptions,
) -> Iterator[Change]:
    for step in growth([pair for _, pair in points], options.interest(subject.metric)):
        first, place = points[step.start][0], points[step.found][0]
        yield Change(
            kind="pair",
            night=nights[first].number,
            found=nights[place].number,
            variant=variant,
            subject=subject,
            before=step.before,
            after=step.after,
            regression=step.after > step.before,
            improvement=step.after < step.before,
            inputs=moved(nights[first - 1], nights[place], variant, subject.machine),
        )


def _instrument(night: Night, subject: Subject) -> list[str | None]:
    names = (*INSTRUMENT, "initramfs", "experiment", f"machine {subject.machine}")
    return [night.inputs.get(name) for name in names]


def _failures(nights: Sequence[Night]) -> Iterator[Change]:
    for night in nights:
        for failure in night.failures:
            subject = Subject(failure.machine, failure.clock, "boots", "outcome")
            yield Change(
                kind="failed",
                night=night.number,
                found=night.number,
                variant=failure.variant,
                subject=subject,
                regression=failure.outcome not in HOST_FAULT,
                infrastructure=failure.outcome in HOST_FAULT,
                text=f"block {failure.block}: {failure.outcome}: {failure.reason}".rstrip(": "),
            )
        faults: list[tuple[Kind, str]] = [("not the same", text) for text in night.mismatches]
        faults += [("damaged", text) for text in night.damage]
        for kind, text in faults:
            yield Change(
                kind=kind,
                night=night.number,
                found=night.number,
                variant="",
                subject=Subject("", "", "evidence", kind),
                infrastructure=True,
                text=text,
            )


def _missing(nights: Sequence[Night]) -> Iterator[Change]:
    """A figure that the night before had, of a cell that booted well on both."""
    for old, new in pairwise(nights):
        cells = {(f.variant, f.machine, f.clock) for f in new.figures}
        there = {(f.subject, f.variant) for f in new.figures}
        for figure in old.figures:
            cell = (figure.variant, figure.machine, figure.clock)
            if cell in cells and (figure.subject, figure.variant) not in there:
                yield Change(
                    kind="missing",
                    night=new.number,
                    found=new.number,
                    variant=figure.variant,
                    subject=figure.subject,
                    before=figure.value,
                    regression=figure.name not in OPTIONAL,
                    inputs=moved(old, new, figure.variant, figure.machine),
                )


def moved(old: Night, new: Night, variant: str = "", machine: str = "") -> tuple[str, ...]:
    """The inputs that differ between two nights; of all, or only what a cell depends on."""
    found = []
    for name in dict.fromkeys((*old.inputs, *new.inputs)):
        before, after = old.inputs.get(name, "(none)"), new.inputs.get(name, "(none)")
        if before != after and _concerns(name, variant, machine):
            found.append(f"{name}: {_short(before)} -> {_short(after)}")
    return tuple(found)


def _concerns(name: str, variant: str, machine: str) -> bool:
    kind, _, rest = name.partition(" ")
    mine = {"variant": variant, "machine": machine}.get(kind)
    return not mine or rest.split(" ")[0] == mine


def _short(text: str) -> str:
    """A hash is cut to what people compare."""
    return text[:12] if len(text) in (40, 64) and not set(text) - set("0123456789abcdef") else text


@dataclass(frozen=True)
class Counts:
    """What became of the figures of a night; each figure is counted once."""

    regressed: int
    improved: int
    unchanged: int
    """those that moved by less than is of interest among them"""
    failed: int
    """boots, of which no figure is counted"""

    def __str__(self) -> str:
        failed = f", {self.failed} failed boots" if self.failed else ""
        told = f"{self.regressed} regressed, {self.improved} improved, {self.unchanged} unchanged"
        return told + failed


def counts(night: Night, found: Sequence[Change]) -> Counts:
    """Of one night."""
    tonight = [change for change in found if change.found == night.number]
    worse = {(c.subject, c.variant) for c in tonight if c.regression and c.kind != "failed"}
    better = {(c.subject, c.variant) for c in tonight if c.improvement} - worse
    every = {(figure.subject, figure.variant) for figure in night.figures}
    return Counts(len(worse), len(better), len(every - worse - better), len(night.failures))


def status(found: Sequence[Change], number: int) -> int:
    """Of one night: 1 where something regressed, 2 where the host was at fault, else 0."""
    tonight = [change for change in found if change.found == number]
    if any(change.regression for change in tonight):
        return 1
    return 2 if any(change.infrastructure for change in tonight) else 0
