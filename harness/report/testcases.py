# SPDX-License-Identifier: GPL-2.0-only
"""Results as test cases, for machines that collect them: JUnit XML and KTAP. Pure.

A suite is a cell, or a build of a variant; a case is a boot, a check or a figure. Text of the guest
goes in here: it is stripped of what XML cannot hold and of what could begin a line of KTAP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from harness.dataset import Dataset
from harness.gate import Check
from harness.model import GOOD
from harness.text import clean, one_line

Result = Literal["pass", "fail", "error", "skip"]
"""`error` is the host's fault."""


@dataclass(frozen=True)
class Case:
    """One result. `text` says why in one line; `value` is what was measured, in that metric."""

    suite: str
    name: str
    result: Result
    text: str = ""
    kind: str = ""
    metric: str = ""
    value: float | None = None

    @property
    def good(self) -> bool:
        return self.result in ("pass", "skip")


def boots(found: Dataset) -> list[Case]:
    """A case for each boot; a suite is a cell, VARIANT.MACHINE.CLOCK."""
    cases = []
    runs = found.runs.sort_values(["variant", "machine", "clock", "block"]).astype(object)
    for row in runs.where(runs.notna(), None).to_dict("records"):
        suite = f"{row['variant']}.{row['machine']}.{row['clock']}"
        name = "warm-up" if row["warmup"] else f"block {row['block']}"
        result: Result = "pass" if row["outcome"] in GOOD else "fail"
        text = "" if row["outcome"] == "ok" else f"{row['outcome']}: {row['reason'] or ''}"
        text, kind = one_line(text, 500) or "", str(row["outcome"])
        cases.append(Case(suite, name, result, text, kind, "wall_s", row["wall_s"]))
    return cases


def checks(found: Iterable[Check]) -> list[Case]:
    """A case for each check of the gate; a suite is a build of a variant."""
    return [
        Case(
            f"{c.variant}.{c.build}",
            c.check,
            "skip" if c.result == "known" else c.result,
            one_line(c.detail, 500) or "",
            c.check,
        )
        for c in found
    ]


def junit(name: str, started_utc: str, found: Sequence[Case]) -> bytes:
    """As JUnit XML: what CI servers read. `started_utc` is ISO 8601."""
    top = ElementTree.Element("testsuites", {"name": clean(name)} | _counts(found))
    for suite in dict.fromkeys(case.suite for case in found):
        mine = [case for case in found if case.suite == suite]
        about = {"name": suite or "harness", **_counts(mine), "timestamp": started_utc}
        element = ElementTree.SubElement(top, "testsuite", about)
        for case in mine:
            about = {"classname": suite or "harness", "name": case.name, "time": _seconds(case)}
            entry = ElementTree.SubElement(element, "testcase", about)
            if case.value is not None:
                properties = ElementTree.SubElement(entry, "properties")
                value = {"name": case.metric, "value": f"{case.value:.12g}"}
                ElementTree.SubElement(properties, "property", value)
            if case.result == "skip":
                ElementTree.SubElement(entry, "skipped", {"message": clean(case.text)})
            elif case.result != "pass":
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
        **({"skipped": str(results.count("skip"))} if "skip" in results else {}),
    }


def _seconds(case: Case) -> str:
    """Seconds are only what was measured in seconds."""
    timed = case.value is not None and case.metric.endswith("_s")
    return f"{case.value:.6f}" if timed else "0"


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
            skip = " # SKIP" if case.result == "skip" else ""
            lines.append(f"  {_word(case.good)} {place} {case.name}{skip}")
        good = all(case.good for case in mine)
        lines.append(f"{_word(good)} {number} {suite or 'harness'}")
    return "\n".join(lines) + "\n"


def _word(good: bool) -> str:
    return "ok" if good else "not ok"
