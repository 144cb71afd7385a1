# SPDX-License-Identifier: GPL-2.0-only
"""A night as test cases, for machines that collect them: JUnit XML and KTAP. Pure.

A suite is a cell; a case is one of its figures, or its boots. Text of the guest goes in here: it
is stripped of what XML cannot hold and of what could begin a line of KTAP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from harness.nightly.changes import Change
from harness.nightly.history import Measurement, Night
from harness.text import clean, one_line
from harness.units import amount

Result = Literal["pass", "fail", "error"]
"""`error` is the host's fault."""


@dataclass(frozen=True)
class Case:
    """One line of the night. `text` says what changed, in one line."""

    suite: str
    name: str
    result: Result
    text: str = ""
    kind: str = ""
    figure: Measurement | None = None


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
    return Case(suite, name, result, text, found[0].kind if found else "", figure)


def describe(change: Change) -> str:
    """A change in one line, without what drives a terminal."""
    parts = [change.text] if change.text else []
    metric = change.subject.metric
    if change.kind == "missing":
        parts.append("not observed any more")
    if change.before is not None and change.after is not None:
        ratio = f" ({change.ratio - 1:+.2%})" if change.ratio is not None else ""
        values = (amount(value, metric, exact=True) for value in (change.before, change.after))
        parts.append(" -> ".join(values) + ratio)
    if change.kind == "step":
        parts.append(f"since night {change.night}")
    parts += [f"changed with it: {'; '.join(change.inputs)}"] if change.inputs else []
    if not change.inputs and change.kind in ("exact", "step", "missing"):
        parts.append("no input changed")
    return one_line(", ".join(parts)) or ""


def junit(night: Night, found: Sequence[Case]) -> bytes:
    """As JUnit XML: what CI servers read."""
    top = ElementTree.Element(
        "testsuites", {"name": f"pageinit nightly {night.day}"} | _counts(found)
    )
    for suite in dict.fromkeys(case.suite for case in found):
        mine = [case for case in found if case.suite == suite]
        about = {"name": suite or "harness", **_counts(mine), "timestamp": night.started_utc}
        element = ElementTree.SubElement(top, "testsuite", about)
        for case in mine:
            name = {"classname": suite or "harness", "name": case.name, "time": _seconds(case)}
            entry = ElementTree.SubElement(element, "testcase", name)
            if case.figure:
                properties = ElementTree.SubElement(entry, "properties")
                value = {"name": case.figure.metric, "value": f"{case.figure.value:.12g}"}
                ElementTree.SubElement(properties, "property", value)
            if case.result != "pass":
                word = "failure" if case.result == "fail" else "error"
                said = {"type": case.kind, "message": clean(case.text)}
                ElementTree.SubElement(entry, word, said)
            elif case.text:
                ElementTree.SubElement(entry, "system-out").text = clean(case.text)
    ElementTree.indent(top)
    return bytes(ElementTree.tostring(top, encoding="utf-8", xml_declaration=True)) + b"\n"


def _counts(found: Sequence[Case]) -> dict[str, str]:
    results = [case.result for case in found]
    return {
        "tests": str(len(results)),
        "failures": str(results.count("fail")),
        "errors": str(results.count("error")),
    }


def _seconds(case: Case) -> str:
    """Seconds are only what was measured in seconds."""
    timed = case.figure and case.figure.metric.endswith("_s")
    return f"{case.figure.value:.6f}" if timed and case.figure else "0"


def ktap(found: Sequence[Case]) -> str:
    """As KTAP version 1, a subtest for each cell."""
    suites = list(dict.fromkeys(case.suite for case in found))
    lines = ["KTAP version 1", f"1..{len(suites)}"]
    for number, suite in enumerate(suites, 1):
        mine = [case for case in found if case.suite == suite]
        named = f"  # Subtest: {suite or 'harness'}"
        lines += ["  KTAP version 1", named, f"  1..{len(mine)}"]
        for place, case in enumerate(mine, 1):
            if case.text:
                lines.append(f"  # {case.name}: {one_line(case.text)}")
            lines.append(f"  {_word(case.result == 'pass')} {place} {case.name}")
        good = all(case.result == "pass" for case in mine)
        lines.append(f"{_word(good)} {number} {suite or 'harness'}")
    return "\n".join(lines) + "\n"


def _word(good: bool) -> str:
    return "ok" if good else "not ok"
