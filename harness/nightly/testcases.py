# SPDX-License-Identifier: GPL-2.0-only
"""A night as test cases: a suite is a cell, a case one of its figures, or its boots. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.nightly.changes import Change
from harness.nightly.history import Measurement, Night
from harness.report.testcases import Case, Result
from harness.text import one_line
from harness.units import amount


def cases(night: Night, found: Iterable[Change]) -> list[Case]:
    """All cases of a night, by cell; `found` are the changes that were sure that night."""
    tonight: dict[tuple[str, str], list[Change]] = {}
    for change in found:
        if change.found == night.number:
            tonight.setdefault(_place(change), []).append(change)
    known = {}
    for figure in night.figures:
        suite = f"{figure.variant}.{figure.machine}.{figure.clock}"
        mine = tonight.pop((suite, f"{figure.name} {figure.metric}"), [])
        known[suite, f"{figure.name} {figure.metric}"] = _case(suite, figure.name, mine, figure)
    for (suite, name), others in tonight.items():
        known[suite, name] = _case(suite, others[0].subject.name, others, None)
    cells = {(f"{f.variant}.{f.machine}.{f.clock}", "boots outcome") for f in night.figures}
    for suite, name in sorted(cells - set(known)):
        known[suite, name] = Case(suite, "boots", "pass")
    return sorted(known.values(), key=lambda case: (case.suite, case.name != "boots"))


def _place(change: Change) -> tuple[str, str]:
    subject = change.subject
    suite = ".".join(filter(None, (change.variant, subject.machine, subject.clock)))
    return suite, f"{subject.name} {subject.metric}"


def _case(suite: str, name: str, found: Sequence[Change], figure: Measurement | None) -> Case:
    worse = any(change.regression for change in found)
    result: Result = (
        "fail" if worse else "error" if any(c.infrastructure for c in found) else "pass"
    )
    text = "; ".join(describe(change) for change in found)
    kind, metric = found[0].kind if found else "", figure.metric if figure else ""
    return Case(suite, name, result, text, kind, metric, figure.value if figure else None)


def share(change: Change) -> str:
    """By how much, in per cent; where that would say 0.00, by how much in its unit."""
    if change.ratio is None or change.before is None or change.after is None:
        return ""
    if abs(change.ratio - 1) < 5e-5:
        away = change.after - change.before
        return ("+" if away > 0 else "") + amount(away, change.subject.metric)
    return f"{change.ratio - 1:+.2%}"


def describe(change: Change, by: bool = True) -> str:
    """A change in one line, without what drives a terminal; `by` has it say by how much."""
    parts = [change.text] if change.text else []
    metric = change.subject.metric
    if change.kind == "missing":
        parts.append("not observed any more")
    if change.before is not None and change.after is not None:
        ratio = f" ({told})" if by and (told := share(change)) else ""
        values = (amount(value, metric, exact=True) for value in (change.before, change.after))
        parts.append(" -> ".join(values) + ratio)
    if change.kind == "step" or change.night < change.found:
        parts.append(f"since night {change.night}")
    if change.kind == "pair":
        parts.append("both kernels booted this night")
    parts += [f"changed with it: {'; '.join(change.inputs)}"] if change.inputs else []
    if not change.inputs and change.kind in ("exact", "pair", "step", "missing"):
        parts.append("no input changed")
    return one_line(", ".join(parts)) or ""
