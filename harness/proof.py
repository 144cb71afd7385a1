# SPDX-License-Identifier: GPL-2.0-only
"""The report's sections on the correctness gate and on the search for the largest machine."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

from harness import limit
from harness.dataset import Dataset
from harness.figures import Figures
from harness.sections import Section, Table

_SHOWN = {"measured": "measured build", "debug": "debug build, memmap poisoned"}


def gate_sections(dataset: Dataset) -> Iterator[Section]:
    """One table a variant: each check with its result on both builds, and what was seen."""
    if dataset.gate.empty:
        return
    found = dataset.gate.to_dict("records")
    tables = []
    for variant in dict.fromkeys(str(row["variant"]) for row in found):
        mine = [row for row in found if row["variant"] == variant]
        builds = [build for build in _SHOWN if any(row["build"] == build for row in mine)]
        cells = {(row["check"], row["build"]): row for row in mine}
        rows = []
        for check in dict.fromkeys(str(row["check"]) for row in mine):
            here = [cells.get((check, build)) for build in builds]
            results = [str(row["result"]) if row else "-" for row in here]
            seen = [str(row["detail"]) for row in here if row]
            rows.append([check, *results, " / ".join(dict.fromkeys(seen))])
        head = ["check", *(_SHOWN[build] for build in builds), "seen"]
        tables.append(Table(head, rows, _caption(variant, mine), left=len(head)))
    note = (
        "Each check on the kernel that is measured and on a debug build of it. What a boot did not"
        " report has failed. A variant with a failed check has no numbers that count."
    )
    yield Section("Correctness gate", (note,), tuple(tables))


def limit_sections(dataset: Dataset) -> Iterator[Section]:
    """The largest machine of each variant, and why the next one failed."""
    if dataset.limits.empty:
        return
    figures = Figures.of(dataset.summary)
    known = dataset.limits.astype(object).where(dataset.limits.notna(), None)
    rows = limit.table(known.to_dict("records"))
    for row in rows:
        row[0] = figures.label(row[0])
    head = ["variant", "boots up to", "host memory", "next size", "why not"]
    note = (
        "The largest machine of four nodes that came to user space on this host, and how the next"
        " larger one ended. Sizes are an eighth of a power of two apart."
    )
    yield Section("Largest machine", (note,), (Table(head, rows, left=1),))


def _caption(variant: str, rows: Sequence[Mapping[Hashable, object]]) -> str:
    bad = sum(row["result"] == "fail" for row in rows)
    return f"{variant}: {len(rows)} checks, " + (f"{bad} FAILED" if bad else "all good")
