# SPDX-License-Identifier: GPL-2.0-only
"""The figures of the report from plain data, each mark with its numbers for a pointer. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.report.svg import (
    MARKERS,
    Scale,
    dots,
    group,
    labels,
    line,
    marker,
    polyline,
    spaced,
    svg,
    tag,
    text,
    width,
)
from harness.units import amount, format_size

WIDE = 420.0
ROW = 26.0
FEW = 60
"""Boots of a row up to which each dot has its own title: more would make the page heavy."""

GAINS = (0.001, 0.01, 0.1, 0.25, 0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 2.0, 4.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Who:
    """Whose mark it is: a name for people, and the place of the variant in the legend."""

    name: str
    place: int

    @property
    def owner(self) -> str:
        """The class that the page colours and hides."""
        return f"v{self.place}"


@dataclass(frozen=True)
class Bar:
    """Something in parts that add up, each with its name, length, and what to say of it."""

    who: Who
    parts: tuple[tuple[int, float, str], ...]
    said: str


def stacked(title: str, bars: Sequence[Bar], metric: str) -> Markup:
    """Horizontal bars; part `n` has the class ``p<n>``."""
    left = width(bar.who.name for bar in bars) + 8
    right = width(bar.said for bar in bars) + 8
    most = max(sum(part[1] for part in bar.parts) for bar in bars)
    x = Scale(0, most, left, WIDE - right)
    foot = 8 + ROW * len(bars)
    shapes: list[Markup] = list(_across(x, metric, 6, foot))
    for row, bar in enumerate(bars):
        y, at = 8 + ROW * row, 0.0
        shown = [text(left - 6, y + 16, bar.who.name, "end")]
        for number, length, said in bar.parts:
            box = {"x": x(at), "y": y + 3, "width": x(at + length) - x(at), "height": ROW - 8}
            shown.append(tag("rect", tag("title", said), class_=f"p{number}", **box))
            at += length
        shown.append(text(x(at) + 5, y + 16, bar.said, class_="value"))
        shapes.append(group(shown, bar.who.owner))
    return svg(WIDE, foot + 24, title, shapes)


@dataclass(frozen=True)
class Curve:
    """One variant against memory: size to (median, smallest, largest), and a line through them.

    `line` has (size, value) inside the measured sizes, `beyond` where nothing was measured.
    """

    who: Who
    points: Mapping[int, tuple[float, float, float]]
    line: tuple[tuple[float, float], ...] = ()
    beyond: tuple[tuple[float, float], ...] = ()
    said: str = ""


def against_memory(title: str, metric: str, curves: Sequence[Curve]) -> Markup:
    """Log-log; whiskers are the smallest and the largest, dashes are extrapolated."""
    sizes = sorted({size for curve in curves for size in curve.points})
    far = [curve.beyond[-1][0] for curve in curves if curve.beyond]
    values = [v for c in curves for p in c.points.values() for v in p if v > 0]
    values += [v for c in curves for _, v in (*c.line, *c.beyond) if v > 0]
    left, foot = 58.0, 236.0
    x = Scale(sizes[0], max([*sizes, *far]), left + 16, WIDE - 24, log=True)
    y = Scale(min(values) * 0.85, max(values) * 1.15, foot, 10, log=True)
    shapes = [*_up(y, metric, left, WIDE - 6), line(left, foot, WIDE - 6, foot, "axis")]
    ends = sorted({*sizes, *map(round, far)})
    places = [x(size) for size in ends]
    for n in spaced(places, 44):
        shapes.append(line(places[n], foot, places[n], foot + 4, "axis"))
        shapes.append(text(places[n], foot + 17, format_size(ends[n]), "middle"))
    shapes.append(text((left + WIDE) / 2, foot + 33, "guest memory", "middle", "soft"))
    # Side by side, so that equal figures do not hide each other.
    step = min(5.0, 24 / len(curves))
    for number, curve in enumerate(curves):
        aside = step * (number - (len(curves) - 1) / 2)
        shapes.append(group(_curve(curve, x, y, metric, aside), curve.who.owner, curve.said))
    return svg(WIDE, foot + 40, title, shapes)


def _curve(curve: Curve, x: Scale, y: Scale, metric: str, aside: float) -> Iterator[Markup]:
    for points, style in ((curve.line, "fit"), (curve.beyond, "beyond")):
        if points:
            yield polyline(((x(size), y(value)) for size, value in points if value > 0), style)
    known = sorted(curve.points.items())
    if not curve.line and len(known) > 1:
        yield polyline(((x(size) + aside, y(point[0])) for size, point in known), "guide")
    for size, (middle, low, high) in known:
        at = x(size) + aside
        if high > low:
            yield line(at, y(low), at, y(high), "whisker")
        said = f"{curve.who.name}, {format_size(size)}: {amount(middle, metric)}"
        if high > low:
            said += f" ({amount(low, metric)} to {amount(high, metric)})"
        yield marker(at, y(middle), curve.who.place, said)
    if curve.beyond:
        far, value = curve.beyond[-1]
        said = f"{curve.who.name}, {format_size(round(far))}: {amount(value, metric)}, EXTRAPOLATED"
        yield group([marker(x(far) + aside, y(value), curve.who.place, said)], "far")


@dataclass(frozen=True)
class Lane:
    """One boot: (seconds, bytes) of QEMU, and phases as (number, begin, end, what to say)."""

    who: Who
    samples: tuple[tuple[float, float], ...]
    phases: tuple[tuple[int, float, float, str], ...]


def over_boot(title: str, lanes: Sequence[Lane]) -> Markup:
    """Resident memory over the boot, and below it, on the same seconds, the phases."""
    metric, foot = "rss_bytes", 196.0
    left = max(58.0, width(lane.who.name for lane in lanes) + 8)
    end = max(max(s for s, _ in lane.samples) for lane in lanes)
    most = max(max(b for _, b in lane.samples) for lane in lanes)
    x, y = Scale(0, end, left, WIDE - 20), Scale(0, most * 1.05, foot, 10)
    deep = foot + 10 + 18 * len(lanes)
    shapes = [*_up(y, metric, left, WIDE - 6), *_across(x, "host_s", 10, deep)]
    shapes.append(text((left + WIDE) / 2, deep + 33, "since the launch of QEMU", "middle", "soft"))
    for number, lane in enumerate(lanes):
        points = [(x(s), y(b)) for s, b in lane.samples]
        # A marker now and then, so that lines are told apart without colour.
        each = max(1, len(points) // 8)
        forms = [marker(a, b, lane.who.place) for a, b in points[number % each :: each]]
        last = lane.samples[-1][1]
        said = f"{lane.who.name}: {format_size(round(last))} at the end of its samples"
        shown = [polyline(points, "line"), *forms]
        top = foot + 8 + 18 * number
        shown.append(text(left - 6, top + 13, lane.who.name, "end"))
        for part, begin, stop, told in lane.phases:
            box = {"x": x(begin), "y": top + 3, "width": max(0.8, x(stop) - x(begin)), "height": 12}
            shown.append(tag("rect", tag("title", told), class_=f"p{part}", **box))
        shapes.append(group(shown, lane.who.owner, said))
    return svg(WIDE, deep + 40, title, shapes)


@dataclass(frozen=True)
class Row:
    """Every boot of a cell in the order of the blocks: (block, value)."""

    who: Who
    boots: tuple[tuple[int, float], ...]
    median: float
    said: str


def every_boot(title: str, metric: str, rows: Sequence[Row]) -> Markup:
    """One dot a boot; within a row the first block is at the top, so that a drift is a slope."""
    values = [value for row in rows for _, value in row.boots]
    left, high = width(row.who.name for row in rows) + 8, 34.0
    low, most = min(values), max(values)
    log = low > 0 and most / low > 20
    margin = (most - low) * 0.04 or abs(most) * 0.02 or 1.0
    x = (
        Scale(low / 1.1, most * 1.1, left, WIDE - 24, log=True)
        if log
        else Scale(low - margin, most + margin, left, WIDE - 24)
    )
    foot = 8 + high * len(rows)
    shapes: list[Markup] = list(_across(x, metric, 6, foot))
    for number, row in enumerate(rows):
        top = 8 + high * number
        y = Scale(0, max(1, len(row.boots) - 1), top + 7, top + high - 7)
        places = [(x(value), y(n)) for n, (_, value) in enumerate(row.boots)]
        middle = x(row.median)
        shown = [
            text(left - 6, top + high / 2 + 4, row.who.name, "end"),
            line(middle, top + 2, middle, top + high - 2, "median"),
        ]
        if len(places) > FEW:
            shown.append(dots(places))
        else:
            for (a, b), (block, value) in zip(places, row.boots, strict=True):
                shown.append(marker(a, b, row.who.place, f"block {block}: {amount(value, metric)}"))
        shapes.append(group(shown, row.who.owner, row.said))
    return svg(WIDE, foot + 24, title, shapes)


@dataclass(frozen=True)
class RatioBar:
    """A ratio to the baseline with its interval, if it has one, and the word for it."""

    who: Who
    of: str
    ratio: float
    low: float | None
    high: float | None
    word: str
    said: str


def changes(title: str, found: Sequence[RatioBar]) -> Markup:
    """Ratios on a logarithmic axis, a line of the figure each; the thick line is no change."""
    groups = [list(g) for _, g in itertools.groupby(found, key=lambda change: change.of)]
    left = width(change.who.name for change in found) + 8
    right = width(change.word for change in found) + 8
    ends = [v for c in found for v in (c.ratio, c.low, c.high) if v]
    low, high = min([*ends, 0.95]) / 1.05, max([*ends, 1.05]) * 1.05
    x = Scale(low, high, left, WIDE - right, log=True)
    foot = 6.0 + sum(20 + 18 * len(g) for g in groups)
    shapes = []
    marks = [g for g in GAINS if low <= g <= high]
    places = [x(g) for g in marks]
    wanted = [n for n in spaced(places, 38) if marks[n] != 1 and abs(places[n] - x(1)) >= 38]
    for place, gain in [(x(1), 1.0), *((places[n], marks[n]) for n in wanted)]:
        shapes.append(line(place, 6, place, foot, "same" if gain == 1 else "grid"))
        shapes.append(text(place, foot + 14, f"x{gain:g}", "middle"))
    y = 6.0
    for members in groups:
        shapes.append(text(2, y + 14, members[0].of, class_="head"))
        y += 20
        for change in members:
            shapes.append(group(_change(change, x, y, left), change.who.owner, change.said))
            y += 18
    return svg(WIDE, foot + 20, title, shapes)


def _change(change: RatioBar, x: Scale, y: float, left: float) -> Iterator[Markup]:
    yield text(left - 6, y + 13, change.who.name, "end")
    if change.low and change.high:
        yield line(x(change.low), y + 9, x(change.high), y + 9, "whisker")
    yield marker(x(change.ratio), y + 9, change.who.place)
    yield text(x.end + 6, y + 13, change.word, class_="value")


def _across(x: Scale, metric: str, top: float, foot: float) -> Iterator[Markup]:
    """The grid and the labels of a horizontal axis."""
    ticks = x.ticks(metric.endswith("_bytes"))
    said = labels(ticks, metric, log=x.log)
    places = [x(value) for value in ticks]
    for place in places:
        yield line(place, top, place, foot, "grid")
    for n in spaced(places, width(said) + 10):
        yield text(places[n], foot + 14, said[n], "middle")


def _up(y: Scale, metric: str, left: float, right: float) -> Iterator[Markup]:
    ticks = y.ticks(metric.endswith("_bytes"))
    for value, said in zip(ticks, labels(ticks, metric, log=y.log), strict=True):
        yield line(left, y(value), right, y(value), "grid")
        yield text(left - 6, y(value) + 4, said, "end")


def key(number: int) -> Markup:
    """The mark of a variant, for the legend."""
    form = tag("path", d=MARKERS[number % len(MARKERS)], transform="translate(6 6)", class_="mark")
    return tag("svg", form, viewBox="0 0 12 12", width="12", height="12", aria_hidden="true")


NIGHTS_WIDE, FOOT, LEFT = 720.0, 220.0, 62.0
MANY = 40
"""Nights above which marks are small."""


@dataclass(frozen=True)
class Track:
    """One variant: its nights by number, its values, and the nights on which it stepped."""

    label: str
    nights: tuple[int, ...]
    values: tuple[float, ...]
    steps: tuple[int, ...] = ()

    @property
    def shares(self) -> list[float]:
        """Per cent above the first value: kernels lie factors of a thousand apart."""
        first = self.values[0] or 1.0
        return [100 * (value / first - 1) for value in self.values]


def draw(title: str, tracks: Sequence[Track]) -> Markup:
    """All tracks in per cent of their first value; a ring is a change that was called."""
    nights = [night for track in tracks for night in track.nights]
    shares = [share for track in tracks for share in track.shares]
    margin = max(0.05, 0.06 * (max(shares) - min(shares)))
    x = Scale(min(nights), max(nights), LEFT + 8, NIGHTS_WIDE - 20)
    names, top = _legend([track.label for track in tracks])
    y = Scale(min(shares) - margin, max(shares) + margin, FOOT, top)
    shapes = [*_axes(x, y), *names]
    for number, track in enumerate(tracks):
        shapes.append(group(_track(number, track, x, y), f"v{number}"))
    said = "night; a ring is a change that was called"
    shapes.append(text((LEFT + NIGHTS_WIDE) / 2, FOOT + 34, said, "middle", "soft"))
    return svg(NIGHTS_WIDE, FOOT + 42, title, shapes)


def _track(number: int, track: Track, x: Scale, y: Scale) -> Iterator[Markup]:
    places = [(x(n), y(s)) for n, s in zip(track.nights, track.shares, strict=True)]
    yield polyline(places, "line")
    for night, share, place in zip(track.nights, track.shares, places, strict=True):
        said = f"{track.label}, night {night}: {share:+.3g} %"
        yield marker(*place, number, said, size=1.0 if len(places) <= MANY else 0.5)
        if night in track.steps:
            yield tag("circle", cx=place[0], cy=place[1], r=8, class_="line")


def _axes(x: Scale, y: Scale) -> Iterator[Markup]:
    for value in y.ticks():
        yield line(LEFT, y(value), NIGHTS_WIDE - 8, y(value), "grid")
        yield text(LEFT - 6, y(value) + 4, f"{value:+.3g} %", "end")
    yield line(LEFT, FOOT, NIGHTS_WIDE - 8, FOOT, "axis")
    nights = [value for value in x.ticks() if value == round(value)]
    places = [x(night) for night in nights]
    for n in spaced(places, 40):
        yield text(places[n], FOOT + 16, f"{nights[n]:g}", "middle")


def _legend(names: Sequence[str]) -> tuple[list[Markup], float]:
    """Names with their marks, in as many lines as it takes, and where they end."""
    shapes, at, top = [], LEFT, 12.0
    for number, name in enumerate(names):
        room = 26 + width([name])
        if at > LEFT and at + room > NIGHTS_WIDE:
            at, top = LEFT, top + 16
        shown = [marker(at + 4, top, number), text(at + 13, top + 4, name)]
        shapes.append(group(shown, f"v{number}"))
        at += room
    return shapes, top + 16
