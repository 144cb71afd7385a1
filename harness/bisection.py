# SPDX-License-Identifier: GPL-2.0-only
"""The search for the first bad point of a line of points, some of which cannot be tried. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.errors import UserError
from harness.quantity import parse_size

Verdict = Literal["good", "bad", "skip"]

STATUS: dict[Verdict, int] = {"good": 0, "bad": 1, "skip": 125}
"""What `git bisect run` takes them from."""


def search(last: int, ask: Callable[[int], Verdict]) -> range:
    """The points of which one is the first bad one; just one unless some had to be skipped.

    Point 0 is good and `last` is bad: the caller knows. Asks about each point at most once.
    """
    low, high = 0, last
    skipped: set[int] = set()
    while left := [point for point in range(low + 1, high) if point not in skipped]:
        point = min(left, key=lambda point: abs(2 * point - low - high))
        verdict = ask(point)
        if verdict == "skip":
            skipped.add(point)
        elif verdict == "good":
            low = point
        else:
            high = point
    return range(low + 1, high + 1)


@dataclass(frozen=True)
class Threshold:
    """Where good ends: a value, or a factor of what the good end has; bad lies `above` or below."""

    value: float | None = None
    factor: float | None = None
    above: bool = True

    @classmethod
    def parse(cls, text: str, above: bool, where: str) -> Threshold:
        """``1.1x``, ``10%`` (above or below the good end), ``120000000``, ``64MiB``."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*(x|%)?\s*", text)
        if match is None:
            try:
                return cls(value=parse_size(text), above=above)
            except ValueError:
                remedy = "write 1.1x, 10%, 120000000 or 64MiB"
                raise UserError(f"no threshold: {text!r}", where=where, remedy=remedy) from None
        number = float(match[1])
        if match[2] == "x":
            return cls(factor=number, above=above)
        if match[2] == "%":
            return cls(factor=1 + number / 100 if above else 1 - number / 100, above=above)
        return cls(value=number, above=above)

    def limit(self, good: float | None) -> float:
        """The value beyond which a point is bad; `good` is that of the good end."""
        if self.value is not None:
            return self.value
        assert self.factor is not None
        if good is None:
            raise UserError("a factor needs the value of the good end")
        return self.factor * good

    def verdict(self, value: float | None, good: float | None) -> Verdict:
        """Of a point; one without a value is skipped."""
        if value is None:
            return "skip"
        limit = self.limit(good)
        return "bad" if (value > limit if self.above else value < limit) else "good"
