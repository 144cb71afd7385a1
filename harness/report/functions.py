# SPDX-License-Identifier: GPL-2.0-only
"""Where the instructions of boots went that were profiled: flame graphs, and what explains what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd

from harness.compare import explain
from harness.dataset import machine_title
from harness.model import peer
from harness.parse import Profile
from harness.parse.evidence import kernel_profile
from harness.report import charts
from harness.report.context import Context
from harness.report.document import Figure, Section, Table
from harness.report.flamegraph import cost_table, difference_table, flames
from harness.results import Results

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
        chosen = {cell[0]: context.chosen[cell] for cell in cells if cell in context.chosen}
        found = {name: kernel_profile(results.path / b.evidence) for name, b in chosen.items()}
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
            table = replace(difference_table(found, TOP), title=about)
        else:
            table = replace(cost_table(profile, TOP), title=f"{name}, {title}")
        tables.append(replace(table, notes=(), folded=True))
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
