# SPDX-License-Identifier: GPL-2.0-only
"""A measured figure: its samples, what it aims at, and whether it gets there. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Literal

Met = Literal["yes", "no", "unclear", ""]


@dataclass(frozen=True)
class Figure:
    """One row: `values` are its samples, all of one run; none where it was skipped, see `note`.

    `below` and `above` are the aim, if there is one.
    """

    name: str
    unit: str
    values: tuple[float, ...] = ()
    below: float | None = None
    above: float | None = None
    note: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def aim(self) -> str:
        if self.below is not None:
            return f"< {self.below:g}"
        return "" if self.above is None else f"> {self.above:g}"

    @property
    def met(self) -> Met:
        """Whether the aim is met by the whole interval of the median, by none of it, or by some."""
        if not self.values or not self.aim:
            return ""
        ends = [
            end < self.below if self.below is not None else end > (self.above or 0.0)
            for end in interval(self.values)
        ]
        return "yes" if all(ends) else "unclear" if any(ends) else "no"

    def as_json(self) -> dict[str, Any]:
        low, high = interval(self.values) if self.values else (None, None)
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "low": low,
            "high": high,
            "n": len(self.values),
            "aim": self.aim,
            "met": self.met,
            "note": self.note,
            "values": [float(f"{value:.6g}") for value in self.values],
        }

    def as_row(self) -> list[str]:
        if self.median is None:
            return [self.name, "skipped", self.unit, self.aim, "", "0", "", self.note]
        low, high = interval(self.values)
        spread = f"{low:.3g} to {high:.3g}" if len(self.values) > 1 else ""
        n = str(len(self.values))
        return [
            self.name,
            f"{self.median:.3g}",
            self.unit,
            self.aim,
            self.met,
            n,
            spread,
            self.note,
        ]


HEAD = ["measure", "median", "unit", "aim", "met", "n", "interval", "note"]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The ranks between which the median lies with 95 % confidence, whatever the distribution.

    With fewer than six values that cannot be had: then it is the smallest and the largest.
    """
    ordered, n = sorted(values), len(values)
    cut, outside = 0, 2.0
    while outside + 2 * comb(n, cut + 1) <= 0.05 * 2**n:
        cut += 1
        outside += 2 * comb(n, cut)
    return ordered[cut], ordered[n - 1 - cut]


def more(pairs: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    """By how much the second of each pair exceeds the first."""
    return tuple(b - a for a, b in pairs)


def percent_more(pairs: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    """The same in per cent of the first."""
    return tuple(100 * (b - a) / a for a, b in pairs)
