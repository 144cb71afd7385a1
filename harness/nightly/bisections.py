# SPDX-License-Identifier: GPL-2.0-only
"""What finds the patch or the commit behind a regression of a night: a command line. Pure.

Of each variant and machine one figure is bisected: a boot that fails, else the count that grew
most, else the seconds that did. Where a single patch changed, it is named and nothing is booted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from harness.model import base_of, definition
from harness.nightly.changes import Change
from harness.nightly.history import Night

TREE = "TREE"
"""Stands for a clone of the kernel where nobody has named one."""

_RELEASE = re.compile(r"(?:\d+:)?(\d+\.\d+(?:\.\d+)?)(?:[~-](rc\d+))?(?:[-~+].*)?")
_COMMIT = re.compile(r"-g([0-9a-f]{12,40})$")


@dataclass(frozen=True)
class Bisection:
    """One regression. `why` says what changed; without `words` nothing more can be found so.

    `words` are the arguments of `harness bisect`; `in_tree` says that they need a kernel tree.
    """

    variant: str
    machine: str
    figure: str
    why: str
    words: tuple[str, ...] = ()
    in_tree: bool = False

    def command(self, tree: str = TREE) -> str:
        """The command line, for a shell; empty where there is none."""
        more = ["--tree", tree] if self.in_tree else []
        return shlex.join(["harness", "bisect", *self.words, *more]) if self.words else ""


def bisections(nights: Sequence[Night], found: Sequence[Change]) -> list[Bisection]:
    """Of the regressions that were sure on the newest night."""
    tonight = [c for c in found if c.found == nights[-1].number and c.regression]
    cells: dict[tuple[str, str], list[Change]] = {}
    for change in tonight:
        cells.setdefault((change.variant, change.subject.machine), []).append(change)
    asked = []
    for changes in cells.values():
        change = max(changes, key=_rank)
        place = next(n for n, night in enumerate(nights) if night.number == change.night)
        again = change.kind == "failed" and place and _failed(nights[place - 1], change)
        if place and not again:
            asked.append(_bisection(nights[place - 1], nights[place], change))
    return asked


def _rank(change: Change) -> tuple[bool, bool, float]:
    return change.kind == "failed", change.subject.clock == "work", change.size


def _failed(night: Night, change: Change) -> bool:
    where = (change.variant, change.subject.machine, change.subject.clock)
    return where in {(f.variant, f.machine, f.clock) for f in night.failures}


def _bisection(old: Night, new: Night, change: Change) -> Bisection:
    place = change.variant, change.subject.machine, change.subject.name
    asked = _asked(change)
    was, now = (night.patches.get(change.variant) for night in (old, new))
    if old.base != new.base:
        good, bad = revision(old.base), revision(new.base)
        why = f"base: {old.base} -> {new.base}"
        if not asked or not good or not bad or good == bad:
            return Bisection(*place, why)
        return Bisection(*place, why, ("--range", f"{good}..{bad}", *asked), True)
    if was is None or now is None or was == now:
        return Bisection(*place, "; ".join(change.inputs) or "no input changed")
    why, series, last = patched(was, now)
    if not asked or not series:
        return Bisection(*place, why)
    start = ("--good", last) if last else ()
    return Bisection(*place, why, ("--series", series, *start, "--newest", *asked))


def _asked(change: Change) -> tuple[str, ...]:
    """What `harness bisect` is to measure, and from where it is bad: halfway."""
    on: tuple[str, ...] = (
        "--variant",
        definition(change.variant),
        "--machine",
        change.subject.machine,
    )
    if base := base_of(change.variant):
        on = (*on, "--base", base)
    if change.kind == "failed":
        return (*on, "--metric", "boot", "--fails")
    if not change.ratio or change.ratio <= 1:
        return ()
    return (*on, "--metric", change.subject.name, "--above", f"{50 * (change.ratio - 1):.3g}%")


def revision(version: str) -> str:
    """The tag or the commit of a base's version; empty where it says neither."""
    if found := _COMMIT.search(version):
        return found[1]
    known = _RELEASE.fullmatch(version)
    if not known:
        return ""
    return "-".join(filter(None, (f"v{known[1].removesuffix('.0')}", known[2])))


def patched(was: Sequence[str], now: Sequence[str]) -> tuple[str, str, str]:
    """What differs between two stacks of patches: words, the series to bisect, its last good one.

    Without a series there is nothing to bisect: one patch changed, or patches are gone, or more
    than one series has new ones.
    """
    common = 0
    while common < min(len(was), len(now)) and was[common] == now[common]:
        common += 1
    gone, came = was[common:], now[common:]
    if len(gone) == len(came):
        both = [new for old, new in zip(gone, came, strict=True) if old != new]
        if len(both) == 1:
            return f"one patch changed: {_name(both[0])}", "", ""
    if not came:
        return f"patches are gone: {', '.join(map(_name, gone))}", "", ""
    if len(came) == 1 and not gone:
        return f"one patch is new: {_name(came[0])}", "", ""
    why = f"{len(came)} patches changed or are new, from {_name(came[0])} on"
    series = {patch.partition("/")[0] for patch in came}
    if len(series) > 1:
        return why, "", ""
    (one,) = series
    before = [_name(patch) for patch in now[:common] if patch.startswith(f"{one}/")]
    return why, one, before[-1].partition("/")[2] if before else ""


def _name(patch: str) -> str:
    return patch.rpartition(" ")[0]
