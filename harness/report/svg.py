# SPDX-License-Identifier: GPL-2.0-only
"""What figures are made of: scales, ticks, and SVG text that the page's style sheet colours. Pure.

The same data give the same bytes. No colour, font or script is in a figure: marks carry the class
of what they belong to, so that one rule of the page colours or hides it in all figures and tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from harness.units import format_size

MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-5l5 5-5 5-5-5z",
    "M0-4.6l4.6 8h-9.2z",
    "M0 4.6l4.6-8h-9.2z",
    "M-4.6-1.7h2.9v-2.9h3.4v2.9h2.9v3.4h-2.9v2.9h-3.4v-2.9h-2.9z",
    "M-4.4-2.2L-2.2-4.4 0-2.2 2.2-4.4 4.4-2.2 2.2 0 4.4 2.2 2.2 4.4 0 2.2-2.2 4.4-4.4 2.2-2.2 0z",
    "M-4.6 0L-2.3-4h4.6L4.6 0 2.3 4h-4.6z",
    "M-4-4h8L-4 4h8z",
    "M-4-4L4 4V-4L-4 4z",
)
"""Outlines around 0: form tells variants apart where colour does not. One more than colours."""

LETTER = 6.4
"""Pixels that a letter of a figure takes, about: there is no font to measure."""


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """An element; text and attributes are escaped, a trailing ``_`` of a name is dropped."""
    inside = Markup("").join(escape(child) for child in children)
    words = "".join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _plain(value))
        for key, value in attributes.items()
        if value not in (None, "")
    )
    return Markup("<{0}{1}>{2}</{0}>" if children else "<{0}{1}/>").format(
        Markup(name), Markup(words), inside
    )


def _plain(value: object) -> object:
    return f"{round(value, 1):g}" if isinstance(value, float) else value


def svg(width: float, height: float, label: str, parts: Iterable[str]) -> Markup:
    """A figure as wide as the page lets it be; `label` says what it shows."""
    return tag("svg", *parts, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label)


def group(parts: Iterable[str], owner: str = "", title: str = "") -> Markup:
    """Marks that belong together, with what a pointer that rests on them is told."""
    head = (tag("title", title),) if title else ()
    return tag("g", *head, *parts, class_=owner)


def text(x: float, y: float, said: str, anchor: str = "", class_: str = "") -> Markup:
    return tag("text", said, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x: float, y: float, x2: float, y2: float, class_: str) -> Markup:
    return tag("path", d=f"M{x:.1f} {y:.1f}L{x2:.1f} {y2:.1f}", class_=class_)


def polyline(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    return tag("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), class_=class_)


def marker(x: float, y: float, number: int, title: str = "", size: float = 1.0) -> Markup:
    """The form of variant `number`."""
    inside = (tag("title", title),) if title else ()
    form = MARKERS[number % len(MARKERS)]
    place = f"translate({x:.1f} {y:.1f})" + ("" if size == 1 else f"scale({size:g})")
    return tag("path", *inside, d=form, transform=place, class_="mark")


def dots(points: Iterable[tuple[float, float]]) -> Markup:
    """Many dots as one mark: lines of no length with round ends."""
    return tag("path", d="".join(f"M{x:.1f} {y:.1f}h0" for x, y in points), class_="dots")


@dataclass(frozen=True)
class Scale:
    """From values between `low` and `high` to pixels between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        part = (self._even(value) - self._even(self.low)) / self._span
        return self.start + part * (self.end - self.start)

    def _even(self, value: float) -> float:
        return math.log(value) if self.log else value

    @property
    def _span(self) -> float:
        return (self._even(self.high) - self._even(self.low)) or 1.0

    def ticks(self, binary: bool = False) -> list[float]:
        """Round values within the scale, powers of two for what counts bytes."""
        even = self._inside(_steps(self.low, self.high, binary))
        if not self.log:
            return even
        found = self._inside((_powers if binary else _decades)(self.low, self.high))
        return found if len(found) > 1 else even

    def _inside(self, values: Iterable[float]) -> list[float]:
        slack = 1e-9 * abs(self.high)
        return [v for v in values if self.low - slack <= v <= self.high + slack]


def _steps(low: float, high: float, binary: bool) -> Iterator[float]:
    raw = (high - low) / 5 or 1.0
    step = 2.0 ** math.ceil(math.log2(raw))
    if not binary:
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return (n * step for n in range(first, last + 1))


def _decades(low: float, high: float) -> Iterator[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    wide = math.log10(high / low)
    for exponent in range(first, last + 1, max(1, math.ceil(wide / 6))):
        yield from (10.0**exponent * n for n in ((1, 2, 5) if wide < 2 else (1,)))


def _powers(low: float, high: float) -> Iterator[float]:
    step = max(1, math.ceil(math.log2(high / low) / 6))
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    return (2.0**n for n in range(first - first % step, last + 1, step))


_Units = tuple[tuple[float, str], ...]
_SECONDS: _Units = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_COUNTS: _Units = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))


def labels(values: Sequence[float], metric: str, *, log: bool) -> list[str]:
    """Ticks with their unit, which on a straight axis is the same for all."""
    if metric.endswith("_bytes"):
        return [format_size(round(value)) for value in values]
    units = _SECONDS if metric.endswith("_s") else _COUNTS
    if metric.startswith("ns_"):
        units = ((1.0, "ns"),)
    return [_label(v, v if log else max(values), units) for v in values]


def _label(value: float, by: float, units: _Units) -> str:
    scale, unit = next((u for u in reversed(units) if abs(by) >= u[0] * 0.999), units[0])
    return f"{value / scale:.6g} {unit}".strip()


def spaced(places: Sequence[float], room: float) -> list[int]:
    """Which of `places`, in order, can have a label that takes `room`."""
    kept: list[int] = []
    for number, place in enumerate(places):
        if not kept or abs(place - places[kept[-1]]) >= room:
            kept.append(number)
    return kept


def width(words: Iterable[str]) -> float:
    """Pixels that the longest of some labels takes, about."""
    return LETTER * max(map(len, words), default=0)
