# SPDX-License-Identifier: GPL-2.0-only
"""Where the instructions of boots went that were profiled: flame graphs, and what explains what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from harness.compare import explain
from harness.dataset import machine_title
from harness.errors import ResultsError
from harness.files import read_bytes
from harness.model import peer
from harness.parse import FIRMWARE, Profile, read_profile
from harness.report import charts
from harness.report.context import Context
from harness.report.document import Figure, Section, Table
from harness.report.flamegraph import cost_table, difference_table, flames
from harness.results import PROFILE, Results

FINEST = 200
"""A call with less than this part of a boot is not drawn."""
DEEPEST = 16
"""Rows of a flame graph."""
TOP = 10
"""Functions of a table."""
_TONES = 4


def function_section(context: Context, results: Results) -> Section:
    """Of the largest machine that boots were profiled on; empty where none was."""
    for clock, machine, cells in reversed(list(context.groups())):
        if clock != "work":
            continue
        found = {cell[0]: _profile(context, cell, results) for cell in cells}
        known = {name: profile for name, profile in found.items() if profile}
        if known:
            return _section(context, machine, known)
    return Section("")


def _section(context: Context, machine: str, known: Mapping[str, Profile]) -> Section:
    lock = context.dataset.lock
    baseline = lock.experiment.baseline if lock else ""
    told, tables, figures = [], list[Table](), list[Figure]()
    title = machine_title(context.dataset, machine)
    for variant, profile in known.items():
        base = peer(baseline, variant)
        name = context.who[variant].name
        if variant != base and base in known:
            found = explain(known[base], profile)
            against = f"{name} against {context.who[base].name}"
            told.append(f"{against} on {machine}: {found.in_all}.")
            about = f"{against}, {title}; part: of all that went up or down"
            tables.append(_named(difference_table(found, TOP), about))
        else:
            tables.append(_named(cost_table(profile, TOP), f"{name}, {title}"))
        caption = f"{name}, {title}: what each function takes with those below it, {profile.unit}"
        spec = charts.flame(_calls(name, profile), charts.Measure(profile.event, "work clock"))
        figures.append(Figure(caption, spec, folded=bool(figures)))
    note = (
        "One boot a variant, until user space; each instruction of the kernel was counted for its"
        f" function (docs/profile.md). Calls below one part in {FINEST} are not drawn."
    )
    return Section(
        "Where the instructions go, function by function", (note, *told), tuple(tables),
        tuple(figures),
    )  # fmt: skip


def _named(table: Table, title: str) -> Table:
    return Table(table.head, table.rows, title, table.left, folded=True)


def _profile(context: Context, cell: tuple[str, str, str], results: Results) -> Profile | None:
    """That of the boot which stands for a cell; none where it has none, or it cannot be read."""
    seen = context.chosen.get(cell)
    if seen is None:
        return None
    try:
        written = read_bytes(results.path / seen.evidence / PROFILE)
    except ResultsError:
        return None
    found = read_profile(written)[0] if written else None
    return found and found.without(FIRMWARE)


def _calls(name: str, profile: Profile) -> pd.DataFrame:
    """The calls of a flame graph: each begins where the one beside it ends, within its caller."""

    def placed() -> Iterator[tuple[str, int, int, int, str]]:
        free = [0]
        for depth, function, (total,) in flames([profile], FINEST):
            del free[depth + 1 :]
            start = free[depth]
            free[depth] += total
            free.append(start)
            if depth < DEEPEST:
                tone = str(sum(function.encode()) % _TONES)
                yield function, depth, start, start + total, tone

    calls = pd.DataFrame(placed(), columns=["function", "depth", "start", "end", "tone"])
    return calls.assign(variant=name)
