# SPDX-License-Identifier: GPL-2.0-only
"""What the authors of the proposals claimed, beside what was measured, with a verdict in words.

The rules are here, the claims in the variants' files: no verdict is written by hand without saying
so. Instructions are never turned into seconds: a claim in seconds is held against a ratio.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from harness.compare.fit import fit
from harness.compare.noise import noise
from harness.dataset import UNITS, Summary
from harness.model import TOUCHES, Claim, Clock, Lockfile, Variant, peer
from harness.units import amount, format_size

Verdict = Literal[
    "held",
    "held, by extrapolation",
    "did not hold",
    "did not hold, by extrapolation",
    "cannot be compared",
    "cannot be tested here",
    "not measured",
    "judged by hand",
]

NEAR = 0.9
"""A gain of nine tenths of what was claimed has held: the claims are round figures."""

_NOTHING: tuple[str, Verdict] = ("-", "not measured")

SMALL = 0.001
"""A slowdown below a thousandth is none."""

PEAK = "host_rss_peak_bytes"
_PROBES = {name.replace("-", "_"): name for name in TOUCHES}
_SIZES = ("mem_total", "mem_free")
_CLOCK: dict[Clock, str] = {"work": "instructions", "time": "seconds of emulation"}

Points = dict[int, float]
"""Memory of a machine in bytes to a median."""


@dataclass(frozen=True)
class ClaimData:
    """A dataset as far as claims need it."""

    lock: Lockfile
    figures: Summary


@dataclass(frozen=True)
class ClaimResult:
    """A row of the claims table."""

    variant: str
    claim: Claim
    measured: str
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class _Points:
    """A metric of the baseline and of the variant by one clock, over machines."""

    clock: Clock
    base: Points
    mine: Points
    baseline: str

    @property
    def largest(self) -> int:
        return max(self.base.keys() & self.mine.keys(), default=0)


def findings(
    variants: Iterable[Variant],
    evidence: Sequence[ClaimData],
    lines: Mapping[str, tuple[int, int]] | None = None,
) -> Iterator[ClaimResult]:
    """Every claim of every variant. `lines`: variant to lines added and removed by its series."""
    for variant in variants:
        for claim in variant.claims:
            yield _find(variant.name, claim, evidence, (lines or {}).get(variant.name))


def _find(
    name: str, claim: Claim, evidence: Sequence[ClaimData], lines: tuple[int, int] | None
) -> ClaimResult:
    if claim.metric == "lines":
        return _lines(name, claim, lines)
    pairs = [pair for pair in _pairs(name, claim, evidence) if pair.baseline != name]
    measured, verdict = _together([_compare(claim, pair) for pair in pairs])
    if claim.max_bytes:
        measured, verdict = _limit(name, claim, evidence)
    if claim.judged:
        return ClaimResult(name, claim, measured, "judged by hand", claim.judged)
    if claim.untestable:
        return ClaimResult(name, claim, measured, "cannot be tested here", claim.untestable)
    return ClaimResult(name, claim, measured, verdict)


def _lines(name: str, claim: Claim, lines: tuple[int, int] | None) -> ClaimResult:
    if lines is None or claim.max_lines is None:
        return ClaimResult(name, claim, "-", "not measured", "counted in kernel-patches/README.md")
    text = f"+{lines[0]} -{lines[1]} lines on 6.12"
    return ClaimResult(name, claim, text, "held" if lines[0] <= claim.max_lines else "did not hold")


def _together(told: Sequence[tuple[str, Verdict]]) -> tuple[str, Verdict]:
    """What both clocks say; where one holds and the other does not, that is no verdict."""
    verdicts = list(dict.fromkeys(verdict for _, verdict in told if verdict != "not measured"))
    if not told:
        return _NOTHING
    words = {verdict.partition(",")[0] for verdict in verdicts}
    verdict: Verdict = verdicts[0] if verdicts else "not measured"
    if len(words) > 1:
        verdict = "cannot be compared"
    return "; ".join(text for text, _ in told), verdict


def _pairs(name: str, claim: Claim, evidence: Sequence[ClaimData]) -> Iterator[_Points]:
    """The comparison with the largest machine by each clock, or by the only one that can tell."""
    clocks: tuple[Clock, ...] = (claim.clock,) if claim.clock else ("work", "time")
    for clock in clocks:
        found = []
        for each in evidence:
            if claim.experiment not in (None, each.lock.experiment.name):
                continue
            base = peer(claim.against or each.lock.experiment.baseline, name)
            ours, theirs = (_points(each, v, claim.metric, clock) for v in (name, base))
            found.append(_Points(clock, theirs, ours, base))
        best = max(found, key=lambda p: (p.largest, len(p.mine)), default=None)
        if best and best.largest:
            yield best


def _points(evidence: ClaimData, variant: str, metric: str, clock: Clock) -> Points:
    points = {}
    for machine in evidence.lock.machines.values():
        cell = (variant, machine.name, clock)
        values = [_median(evidence.figures, cell, name) for name in metric.split("+")]
        if all(value is not None for value in values):
            points[machine.memory] = float(sum(value or 0 for value in values))
    return points


def _median(figures: Summary, cell: tuple[str, str, Clock], name: str) -> float | None:
    row: Mapping[str, Any] | None
    if name in _PROBES:
        metric = "instructions_per_page" if cell[2] == "work" else "ns_per_page"
        row = figures.get(cell, "probe", _PROBES[name], "", "", metric)
    elif name in _SIZES:
        row = figures.get(cell, "probe", name, "", "", "memory_bytes")
    elif name == "host_memory":
        row = figures.get(cell, "host", "qemu", "", "", PEAK)
    else:
        row = figures.phase(cell, name) or figures.phase(cell, name, "span")
        if figures.waits(cell, name):  # what waits is no work
            return None
    return None if row is None else row["median"]


def _compare(claim: Claim, pair: _Points) -> tuple[str, Verdict]:
    """What was measured, in words, and whether it is what was claimed."""
    size = pair.largest
    base, mine = pair.base[size], pair.mine[size]
    where = f"at {format_size(size)}"
    if claim.metric not in _SIZES:
        where += f" ({_CLOCK[pair.clock]})"
    if claim.increases:
        text = f"{mine / base - 1:+.2%} against {pair.baseline} {where}"
        return text, "held" if mine > base * (1 + SMALL) else "did not hold"
    if claim.slowdown is not None:
        text = f"{mine / base - 1:+.2%} against {pair.baseline} {where}"
        limit = 1 + max(claim.slowdown, SMALL)
        if _noisy(claim, pair, 1 / limit):
            return f"{text}, within the noise", "not measured"
        return text, "held" if mine / base <= limit else "did not hold"
    unit = UNITS[pair.clock]
    text = f"{amount(base, unit)} → {amount(mine, unit)}, {_times(base / mine)} {where}"
    if claim.gain is None:
        return text, "not measured"
    return _gained(claim, claim.gain, pair, text)


def _gained(claim: Claim, gain: float, pair: _Points, text: str) -> tuple[str, Verdict]:
    """Whether a gain was reached, on the machine that was claimed if it can be told."""
    size = pair.largest
    good = pair.base[size] / pair.mine[size] >= NEAR * gain
    if _noisy(claim, pair, NEAR * gain):
        return f"{text}, within the noise", "not measured"
    if not claim.at or claim.at <= size:
        return text, "held" if good else "did not hold"
    far = _extrapolate(pair, claim.at)
    if far is None:
        return text, "held" if good else "cannot be compared"
    ratio, low, high = far
    text += f"; {_times(ratio)} ({_round(low)} to {_round(high)}) at {format_size(claim.at)}"
    text += " by a line through the sizes"
    if low >= NEAR * gain:
        return text, "held, by extrapolation"
    missed = high < NEAR * gain
    return text, "did not hold, by extrapolation" if missed else "cannot be compared"


def _times(ratio: float) -> str:
    word, factor = ("less", ratio) if ratio >= 1 else ("more", 1 / ratio)
    return f"{_round(factor)} times {word}"


def _round(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 1000 else f"{factor:.3g}"


def _noisy(claim: Claim, pair: _Points, limit: float) -> bool:
    """Whether by the time clock a ratio lies so near to `limit` that an A/A may lie as far off."""
    names = [_PROBES.get(name, name) for name in claim.metric.split("+")]
    spread = max(noise().time.get(name, 0.0) for name in names)
    ratio = pair.base[pair.largest] / pair.mine[pair.largest]
    return pair.clock == "time" and abs(math.log(ratio / limit)) < 2 * spread


Ends = tuple[float, float, float]
"""A value with its interval."""


def _extrapolate(pair: _Points, memory: int) -> Ends | None:
    """Baseline over variant at `memory` bytes; None where a line may not be followed so far."""
    base, mine = (_at(points, memory) for points in (pair.base, pair.mine))
    if base is None or mine is None:
        return None
    return base[0] / mine[0], base[1] / mine[2], base[2] / mine[1]


def _at(points: Points, memory: int) -> Ends | None:
    if memory in points:
        return (points[memory],) * 3
    return line(points, memory)


def line(points: Points, at: int) -> Ends | None:
    """The value at `at` of the line through all points, with its interval.

    None where one of them lies off it, or where without the largest it would not have told that
    one; and where the interval reaches 0.
    """
    found = fit(points) if min(points.values(), default=0) > 0 else None
    if found is None or not (found.straight and (found.trusted or not found.at(at)[1])):
        return None
    low, high = found.interval(at)
    return (found.at(at)[0], low, high) if low > 0 else None


def _limit(name: str, claim: Claim, evidence: Sequence[ClaimData]) -> tuple[str, Verdict]:
    """Whether a size stays below the one promised, on the machine that was named."""
    assert claim.max_bytes is not None
    clocks: tuple[Clock, ...] = ("time", "work")
    for each, clock in product(evidence, clocks):
        points = _points(each, name, claim.metric, clock)
        size = claim.at or max(points, default=0)
        if size in points:
            text = f"{amount(points[size], PEAK)} at {format_size(size)}"
            return text, "held" if points[size] <= claim.max_bytes else "did not hold"
    return "-", "not measured"


def author(variant: Variant, claim: Claim) -> str:
    """Who claimed it and when, with a link where there is one."""
    origin = variant.origin
    who = claim.who or (origin.who if origin else "")
    when = f", {origin.when}" if origin and origin.when and not claim.who else ""
    link = claim.link or (origin.link if origin and not claim.who else None)
    if link is None and origin and origin.message_id and not claim.who:
        link = f"https://lore.kernel.org/linux-mm/{origin.message_id}/"
    return f"{who}{when}" + (f" ({link})" if link else "")
