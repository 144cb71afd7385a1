# SPDX-License-Identifier: GPL-2.0-only
"""Profiles as a page: a flame graph to look around in, and one of what differs.

The page is one file that loads nothing; its policy lets no script run but the one in it, by hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from harness import __version__
from harness.compare.functions import Explanation
from harness.parse import Profile
from harness.report.document import Table
from harness.report.pages import asset, page, script_hash
from harness.report.vega import script_data
from harness.units import amount

FINEST = 4000
"""A call with less than this part of all instructions is not drawn: it is a third of a pixel."""
TOP = 40
"""Functions of a table."""

HEAD = ("function", "own", "%", "with callees", "%", "calls")
DIFFERENCE = ("function", "own", "against", "difference", "part")


class Flame(NamedTuple):
    """A call as it is drawn: its totals in the profiles that are laid over each other."""

    depth: int
    function: str
    totals: tuple[int, ...]


def flames(profiles: Sequence[Profile], finest: int = FINEST) -> list[Flame]:
    """Profiles laid over each other, a call of all of them in the place that it has in any.

    What is smaller in each than one part in `finest` is left out; callers still have it.
    """
    numbers: dict[tuple[int, str], int] = {}
    totals: list[list[int]] = []
    for which, profile in enumerate(profiles):
        path: list[int] = []
        for node, total in zip(profile.nodes, profile.totals, strict=True):
            del path[node.depth :]
            key = (path[-1] if path else -1, node.function)
            number = numbers.setdefault(key, len(numbers))
            if number == len(totals):
                totals.append([0] * len(profiles))
            totals[number][which] += total
            path.append(number)
    least = max(1, max(profile.total for profile in profiles) // finest)
    below: dict[int, list[tuple[str, int]]] = {}
    for (parent, name), number in numbers.items():
        if max(totals[number]) >= least:
            below.setdefault(parent, []).append((name, number))
    found, waiting = [], [(0, *each) for each in sorted(below.get(-1, ()), reverse=True)]
    while waiting:
        depth, name, number = waiting.pop()
        found.append(Flame(depth, name, tuple(totals[number])))
        waiting += [(depth + 1, *each) for each in sorted(below.get(number, ()), reverse=True)]
    return found


def cost_table(profile: Profile, most: int = TOP) -> Table:
    """The functions that take most, of their own and with what they call."""
    whole = profile.total
    costs = list(profile.costs.values())[:most]
    rows = [
        (
            cost.function,
            *(amount(cost.own, "instructions"), _part(cost.own, whole)),
            *(amount(cost.total, "instructions"), _part(cost.total, whole)),
            f"{cost.calls:,}",
        )
        for cost in costs
    ]
    rest = len(profile.costs) - len(costs)
    own = whole - sum(cost.own for cost in costs)
    notes = [f"all {amount(whole, profile.event)} {profile.unit}, each counted; no time"]
    if rest:
        left = amount(own, "instructions")
        notes.append(f"{rest} more functions have {left} ({_part(own, whole)} %)")
    return Table(HEAD, rows, f"Where {profile.event} go", notes=tuple(notes))


def difference_table(found: Explanation, most: int = TOP) -> Table:
    """The functions of two profiles that differ, the largest difference first."""
    size = sum(abs(each.difference) for each in found.differences)
    rows = [
        (
            each.function,
            amount(each.new, "instructions"),
            amount(each.base, "instructions"),
            f"{each.difference:+,}",
            f"{_part(abs(each.difference), size)} %",
        )
        for each in found.differences[:most]
    ]
    notes = (found.in_all, "part: of all that went up or down")
    return Table(DIFFERENCE, rows, "What differs", notes=notes)


def _part(value: int, whole: int) -> str:
    return f"{100 * value / whole:.1f}" if whole else "-"


def flame_page(
    title: str,
    labels: Sequence[str],
    profiles: Sequence[Profile],
    found: Explanation | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The page of a profile, or of one and the one that it is held against."""
    drawn = flames(profiles)
    names = sorted({flame.function for flame in drawn})
    places = {name: place for place, name in enumerate(names)}
    script = asset("flamegraph.js")
    data: dict[str, Any] = {
        "labels": list(labels),
        "names": names,
        "depth": [flame.depth for flame in drawn],
        "name": [places[flame.function] for flame in drawn],
        "totals": [[flame.totals[which] for flame in drawn] for which, _ in enumerate(profiles)],
        "whole": [profile.total for profile in profiles],
        "event": profiles[0].event,
    }
    tables = [(label, cost_table(each)) for label, each in zip(labels, profiles, strict=True)]
    if found:
        tables.insert(0, (f"{labels[0]} against {labels[1]}", difference_table(found)))
    words = {
        "title": title,
        "version": __version__,
        "notes": list(notes),
        "labels": list(labels),
        "tables": tables,
        "style": asset("colours.css") + asset("report.css") + asset("flamegraph.css"),
        "data": script_data(data),
        "script": script,
        "hash": script_hash(script),
        "finest": FINEST,
        "event": profiles[0].event,
        "unit": profiles[0].unit,
    }
    return page("flamegraph.html.j2", **words)
