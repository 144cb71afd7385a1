# SPDX-License-Identifier: GPL-2.0-only
"""What the authors of the proposals claimed, beside what was measured, with a verdict in words.

The rules are here, the claims in the variants' files: no verdict is written by hand without saying
so. Instructions are never turned into seconds: a claim in seconds is held against a ratio.
"""

from __future__ import annotations

import math
import re
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

PAGE = 4096
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
class SeriesLines:
    """What a series changes: files, and lines with those that only comment and without."""

    base: str
    files: int
    added: int
    removed: int
    code: int
    """lines added that are neither comments nor blank"""

    def __str__(self) -> str:
        lines = f"+{self.added} -{self.removed} lines"
        return f"{lines} in {self.files} files on {self.base}, {self.code} of code"


@dataclass(frozen=True)
class _Points:
    """A metric of the baseline and of the variant by one clock, over machines."""

    clock: Clock
    base: Points
    mine: Points
    baseline: str
    variant: str

    @property
    def largest(self) -> int:
        return max(self.base.keys() & self.mine.keys(), default=0)


def findings(
    variants: Iterable[Variant],
    evidence: Sequence[ClaimData],
    lines: Mapping[str, SeriesLines] | None = None,
) -> Iterator[ClaimResult]:
    """Every claim of every variant. `lines`: variant to what its series changes."""
    for variant in variants:
        for claim in variant.claims:
            yield _find(variant.name, claim, evidence, lines or {})


def _find(
    name: str, claim: Claim, evidence: Sequence[ClaimData], lines: Mapping[str, SeriesLines]
) -> ClaimResult:
    # No figure stands beside a claim that it does not decide.
    if claim.judged:
        return ClaimResult(name, claim, "-", "judged by hand", claim.judged)
    if claim.untestable:
        return ClaimResult(name, claim, "-", "cannot be tested here", claim.untestable)
    if claim.metric == "lines":
        return _lines(name, claim, lines)
    if claim.max_bytes or claim.max_ns_per_page:
        return ClaimResult(name, claim, *_limit(name, claim, evidence))
    pairs = [pair for pair in _pairs(name, claim, evidence) if pair.baseline != name]
    return ClaimResult(name, claim, *_together([_compare(claim, pair) for pair in pairs]))


def _lines(name: str, claim: Claim, lines: Mapping[str, SeriesLines]) -> ClaimResult:
    mine, other = lines.get(name), lines.get(claim.against or "")
    if mine and other and claim.against:
        text = f"{mine}; `{claim.against}`: {other}"
        held = mine.added < other.added and mine.files <= other.files
    elif mine and claim.max_lines is not None:
        text, held = str(mine), NEAR * mine.added <= claim.max_lines
    else:
        return ClaimResult(name, claim, "-", "not measured", "counted in kernel-patches/README.md")
    return ClaimResult(name, claim, text, "held" if held else "did not hold")


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
            found.append(_Points(clock, theirs, ours, base, name))
        best = max(found, key=lambda p: (p.largest, len(p.mine)), default=None)
        if best and best.largest:
            yield best


def _points(evidence: ClaimData, variant: str, metric: str, clock: Clock) -> Points:
    points = {}
    for machine in evidence.lock.machines.values():
        cell = (variant, machine.name, clock)
        values = [
            None if (value := _median(evidence.figures, cell, name)) is None else sign * value
            for name, sign in _terms(metric)
        ]
        total = float(sum(value or 0 for value in values))
        # A part is never more than the whole, or they are not these.
        if None not in values and total > 0:
            points[machine.memory] = total
    return points


def _terms(metric: str) -> list[tuple[str, int]]:
    """Names that are added or subtracted: "a+b-c"."""
    return [(name, -1 if sign == "-" else 1) for sign, name in re.findall(r"([+-]?)(\w+)", metric)]


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
    if claim.increases or claim.decreases:
        text = f"{mine / base - 1:+.2%} against {pair.baseline} {where}"
        more, less = mine > base * (1 + SMALL), mine < base * (1 - SMALL)
        if _noisy(claim, pair, 1):
            return f"{text}, within the noise", "not measured"
        return text, "held" if (more if claim.increases else less) else "did not hold"
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
    drawn = {pair.baseline: pair.base, pair.variant: pair.mine}
    names = " and ".join(name for name, points in drawn.items() if claim.at not in points)
    text += f" by a line through the sizes of {names}"
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
    names = [_PROBES.get(name, name) for name, _ in _terms(claim.metric)]
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
    """Whether an amount stays below the one promised, on the machine that was named."""
    clocks: tuple[Clock, ...] = (claim.clock,) if claim.clock else ("time", "work")
    seen = [(c, _points(each, name, claim.metric, c)) for c, each in product(clocks, evidence)]
    # What was booted on that machine, or on the largest one, tells more than any line.
    seen.sort(key=lambda pair: (claim.at in pair[1], max(pair[1], default=0)), reverse=True)
    for clock, points in seen:
        size = claim.at or max(points, default=0)
        if found := _at(points, size):
            value, low, high = found
            text = f"{amount(value, PEAK)} at {format_size(size)}"
            limit = float(claim.max_bytes or 0)
            if claim.max_ns_per_page:
                pages = size / PAGE
                text = f"{1e9 * value / pages:.1f} ns a page at {format_size(size)}"
                text += f" ({_CLOCK[clock]})"
                limit = claim.max_ns_per_page * pages / 1e9
            if size in points:
                return text, "held" if value <= limit else "did not hold"
            text += " by a line through the sizes"
            if low > limit:
                return text, "did not hold, by extrapolation"
            return text, "held, by extrapolation" if high <= limit else "cannot be compared"
    return _NOTHING


def author(variant: Variant, claim: Claim) -> str:
    """Who claimed it and when, with a link where there is one."""
    origin = variant.origin
    who = claim.who or (origin.who if origin else "")
    when = f", {origin.when}" if origin and origin.when and not claim.who else ""
    link = claim.link or (origin.link if origin and not claim.who else None)
    if link is None and origin and origin.message_id and not claim.who:
        link = f"https://lore.kernel.org/linux-mm/{origin.message_id}/"
    return f"{who}{when}" + (f" ({link})" if link else "")
