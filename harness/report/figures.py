# SPDX-License-Identifier: GPL-2.0-only
"""The figures of the report: which there are, and what each shows of the dataset."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from harness.compare import RSS, Comparison, Growth, Series, Table
from harness.dataset import CLOCKS, UNITS, Cell, Dataset, machine_title, own
from harness.errors import ResultsError
from harness.model import GOOD
from harness.report import charts
from harness.report.context import Context
from harness.report.document import Figure, Section
from harness.report.palette import Who
from harness.report.sections import HEADLINE
from harness.results import RUN_FILE, Results, read_run

PARTS = ("memmap_init", "memblock_free_all", "smp_init", "page_alloc_init_late")
"""Phases of the whole machine that do not overlap, so that a boot is their sum and a rest."""
REST = "the rest of the boot"
INITIALISING = ("memmap_init", "memblock_free_all", "page_alloc_init_late")
SHOWN = ("boot", *INITIALISING, "first-touch")
"""Whose single boots are shown."""


Records = list[dict[str, Any]]


def stacks(context: Context) -> Section:
    """Where a boot goes: one bar a variant, one figure a machine and clock."""
    found = []
    for clock, machine, cells in context.groups():
        title = f"{machine_title(context.dataset, machine)}, {CLOCKS[clock].lower()}"
        said = {True: f"the whole boot, in {context.unit(clock)}"}
        if clock == "work":
            said[False] = "what initialises memory alone, in instructions"
        for whole, words in said.items():
            bars = pd.DataFrame(
                [part for cell in cells for part in _bar(context, cell, whole=whole)]
            )
            if len(bars):
                parts = (*PARTS, REST) if whole else INITIALISING
                measure = context.measure(UNITS[clock], clock)
                spec = charts.stacked(bars, list(context.who.values()), parts, measure)
                found.append(Figure(f"{title}: {words}", spec))
    note = (
        "One boot a variant, the one with the median boot, so that the parts add up. Phases of the"
        " whole machine that do not overlap; what nodes do at the same time lies inside"
        " page_alloc_init_late or in the rest."
    )
    return Section("Where the boot goes", (note,), figures=tuple(found))


def first_machine(context: Context) -> str:
    """The machine that a page begins with: the largest of those that most variants booted on."""
    sizes = _sizes(context.dataset)
    booted: dict[str, set[str]] = {}
    for variant, machine, _ in context.chosen:
        booted.setdefault(machine, set()).add(variant)
    return max(booted, key=lambda name: (len(booted[name]), sizes.get(name, 0)), default="")


def first_picture(context: Context, boots: Section) -> tuple[Figure, ...]:
    """What a page begins with: what initialises memory there, or the whole boot where nobody
    counted that; none where no boot has marks."""
    if not boots.figures:
        return ()
    title = f"{machine_title(context.dataset, first_machine(context))},"
    mine = [figure for figure in boots.figures if figure.caption.startswith(title)]
    mine.sort(key=lambda figure: "memory alone" not in figure.caption)
    return tuple(mine[:1])


def _bar(context: Context, cell: Cell, *, whole: bool) -> Records:
    """The parts of a boot; none where it has no marks or where they would overlap."""
    seen = context.chosen.get(cell)
    if seen is None or not seen.good or "boot" not in seen.intervals:
        return []
    spans = sorted((*seen.intervals[n], n) for n in PARTS if n in seen.intervals)
    if any(a[1] > b[0] for a, b in itertools.pairwise(spans)):
        return []
    boot = seen.intervals["boot"]
    total = boot[1] - boot[0]
    lengths = {name: end - start for start, end, name in spans}
    lengths[REST] = total - sum(lengths.values())
    who = context.who[cell[0]]
    return [
        {"variant": who.name, "part": name, "amount": length, "share": length / total}
        for name, length in sorted(lengths.items(), key=lambda item: (*PARTS, REST).index(item[0]))
        if whole or name in INITIALISING
    ]


def growths(context: Context, found: Comparison | None) -> Iterator[Figure]:
    """Phases and QEMU's memory against the guest's memory, with the lines that fit."""
    lines = {(g.clock, g.name, g.variant): g for g in (found.growth if found else ())}
    sizes = _sizes(context.dataset)
    for clock in CLOCKS:
        failed = list(_failed(context, clock, sizes))
        for name in (*HEADLINE, RSS) if clock == "time" else HEADLINE:
            metric = RSS if name == RSS else own(name, clock)
            points = [p for v in context.who for p in _points(context, v, clock, name, sizes)]
            if len({point["size"] for point in points}) < 2:
                continue
            drawn: Records = []
            for variant, who in context.who.items():
                growth = lines.get((clock, name, variant))
                if any(point["variant"] == who.name for point in points):
                    drawn += _lines(who, growth, max(sizes.values()))
            points += _extrapolated(drawn)
            shown = "peak resident memory of QEMU" if name == RSS else name
            unit = "bytes of the host" if name == RSS else context.unit(clock)
            title = f"{shown} against guest memory, {CLOCKS[clock].lower()}"
            measure = context.measure(metric, clock)
            if name == RSS:
                measure = charts.Measure(RSS, shown)
            spec = charts.against_memory(
                pd.DataFrame(points + failed),
                pd.DataFrame(drawn, columns=["variant", "kind", "size", "value"]),
                list(context.who.values()),
                measure,
            )
            yield Figure(f"{title}: {unit}", spec)


def _sizes(dataset: Dataset) -> dict[str, int]:
    """Machine to its memory."""
    rows = dataset.runs[["machine", "memory_bytes"]].dropna().drop_duplicates()
    return {str(name): int(size) for name, size in rows.to_numpy().tolist()}


def _points(
    context: Context, variant: str, clock: str, name: str, sizes: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    for machine, size in sizes.items():
        cell = (variant, machine, clock)
        row = (
            context.figures.get(cell, "host", "qemu", "", "", RSS)
            if name == RSS
            else context.figures.phase(cell, name)
        )
        if row and row["median"] and row["min"] > 0:
            point = {"variant": context.who[variant].name, "kind": "measured", "size": size}
            point |= {"median": row["median"], "low": row["min"], "high": row["max"]}
            yield point | {"more": f", median of {row['n']} boots" if row["n"] > 1 else ""}


def _failed(context: Context, clock: str, sizes: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Cells of which no boot came to its end, with how the last of them ended."""
    runs = context.dataset.runs
    mine = runs[runs["clock"] == clock]
    for (variant, machine), boots in mine.groupby(["variant", "machine"], sort=False):
        if machine in sizes and not boots["outcome"].isin(GOOD).any():
            yield {
                "variant": context.who[str(variant)].name,
                "kind": "failed",
                "size": sizes[str(machine)],
                "more": str(boots["outcome"].iloc[-1]),
            }


def _lines(who: Who, growth: Growth | None, largest: int) -> Records:
    """A line through the sizes that were measured, and beyond them to the largest of all."""
    line = growth.line if growth else None
    if line is None or not line.straight:
        return []
    spans = {"fit": (line.smallest, line.largest)}
    if line.trusted:
        spans["beyond"] = line.largest, largest
    found = []
    for kind, (near, far) in spans.items():
        if far > near:
            at = [float(f"{size:.6g}") for size in np.geomspace(near, far, 16).tolist()]
            pairs = [(size, float(f"{line.at(int(size))[0]:.6g}")) for size in at]
            found += [
                {"variant": who.name, "kind": kind, "size": size, "value": value}
                for size, value in pairs
                if value > 0
            ]
    return found


def _extrapolated(lines: Records) -> Iterator[dict[str, Any]]:
    """The ends of lines where nothing was measured."""
    ends = {line["variant"]: line for line in lines if line["kind"] == "beyond"}
    for variant, line in ends.items():
        point = {"variant": variant, "kind": "extrapolated", "size": round(line["size"])}
        point |= dict.fromkeys(("median", "low", "high"), line["value"])
        yield point | {"more": ", EXTRAPOLATED"}


def host_memory(context: Context, results: Results) -> Section:
    """QEMU's resident memory over the boot of the largest machines, phases below."""
    timed = [(m, cells) for clock, m, cells in context.groups() if clock == "time"]
    most = max((len(cells) for _, cells in timed), default=0)
    shared = [m for m, cells in timed if len(cells) == most]
    wanted = dict.fromkeys([*shared[-1:], *(m for m, _ in timed[-1:])])
    found = []
    for machine in wanted:
        lanes, phases = [], []
        for cell in dict(timed)[machine]:
            if lane := _lane(context, cell, results):
                lanes += lane
                phases += _phases(context, cell)
        if lanes:
            title = (
                f"{machine_title(context.dataset, machine)}: QEMU's resident memory over the boot"
            )
            spec = charts.over_boot(
                pd.DataFrame(lanes),
                pd.DataFrame(phases, columns=["variant", "part", "begin", "end"]),
                list(context.who.values()),
                PARTS,
                context.measure("duration_s", "time").clock,
            )
            found.append(Figure(f"{title}, phases below; {context.unit('time')}", spec))
    note = (
        "The largest machine that most variants booted on, and the largest of all; one boot a"
        " variant, the one with the median boot. What comes after page_alloc_init_late is the rest"
        " of the boot and then the probes, whose pages are resident too."
    )
    return Section("Host memory over the boot", (note,) if found else (), figures=tuple(found))


def _lane(context: Context, cell: Cell, results: Results) -> Records:
    """The samples of a boot; none where it is not there or has no two of them."""
    seen, who = context.chosen.get(cell), context.who[cell[0]]
    if seen is None or not seen.good:
        return []
    try:
        samples = read_run(results.path / seen.evidence / RUN_FILE).samples
    except ResultsError:
        return []
    lane = [{"variant": who.name, "second": s.host_s, "resident": s.rss_bytes} for s in samples]
    return lane if len(lane) > 1 else []


def _phases(context: Context, cell: Cell) -> Records:
    seen, who = context.chosen[cell], context.who[cell[0]]
    spans = [(name, *seen.hosted[name]) for name in PARTS if name in seen.hosted]
    return [{"variant": who.name, "part": n, "begin": a, "end": b} for n, a, b in spans]


def distributions(context: Context, table: Table) -> Section:
    """Every boot of the time clock as a dot."""
    titles = {m: machine_title(context.dataset, m) for clock, m, _ in context.groups()}
    found = []
    for subject, series in table.items():
        if subject.clock == "time" and subject.name in SHOWN:
            rows = [_boots(context.who[v], series[v]) for v in context.who if v in series]
            title = f"{titles[subject.machine]}: {subject.name}"
            unit = subject.metric.replace("_", " ") if subject.name == "first-touch" else ""
            caption = f"{title}, {unit or context.unit('time')}"
            measure = context.measure(subject.metric, "time")
            spec = charts.every_boot(pd.concat(rows), list(context.who.values()), measure)
            found.append(Figure(caption, spec, folded=subject.name != "boot"))
    note = (
        "One dot a boot, warm-ups left out, in each row from the first block down to the last: what"
        " drifts is a slope. The line is the median. A boot that failed has no dot; see Outcomes."
    )
    return Section("Every boot", (note,) if found else (), figures=tuple(found))


def _boots(who: Who, series: Series) -> pd.DataFrame:
    return pd.DataFrame({"variant": who.name, "block": series.blocks, "value": series.values})
