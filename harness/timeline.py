# SPDX-License-Identifier: GPL-2.0-only
"""A figure night by night: each variant against its first night shown, and its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.drawing import Scale, group, line, marker, polyline, spaced, svg, tag, text, width

WIDE, FOOT, LEFT = 720.0, 220.0, 62.0
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
    x = Scale(min(nights), max(nights), LEFT + 8, WIDE - 20)
    names, top = _legend([track.label for track in tracks])
    y = Scale(min(shares) - margin, max(shares) + margin, FOOT, top)
    shapes = [*_axes(x, y), *names]
    for number, track in enumerate(tracks):
        shapes.append(group(_track(number, track, x, y), f"v{number}"))
    said = "night; a ring is a change that was called"
    shapes.append(text((LEFT + WIDE) / 2, FOOT + 34, said, "middle", "soft"))
    return svg(WIDE, FOOT + 42, title, shapes)


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
        yield line(LEFT, y(value), WIDE - 8, y(value), "grid")
        yield text(LEFT - 6, y(value) + 4, f"{value:+.3g} %", "end")
    yield line(LEFT, FOOT, WIDE - 8, FOOT, "axis")
    nights = [value for value in x.ticks() if value == round(value)]
    places = [x(night) for night in nights]
    for n in spaced(places, 40):
        yield text(places[n], FOOT + 16, f"{nights[n]:g}", "middle")


def _legend(names: Sequence[str]) -> tuple[list[Markup], float]:
    """Names with their marks, in as many lines as it takes, and where they end."""
    shapes, at, top = [], LEFT, 12.0
    for number, name in enumerate(names):
        room = 26 + width([name])
        if at > LEFT and at + room > WIDE:
            at, top = LEFT, top + 16
        shown = [marker(at + 4, top, number), text(at + 13, top + 4, name)]
        shapes.append(group(shown, f"v{number}"))
        at += room
    return shapes, top + 16
