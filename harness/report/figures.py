# SPDX-License-Identifier: GPL-2.0-only
"""The figures of the report: which there are, and what each shows of the dataset."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from harness.compare import RSS, Comparison, Growth, Series, Subject, Table
from harness.dataset import CLOCKS, UNITS, Cell, Dataset, machine_title, own
from harness.errors import ResultsError
from harness.report import charts
from harness.report.charts import Bar, Curve, Lane, Row, Who
from harness.report.context import Stage
from harness.report.document import Figure, Section
from harness.report.sections import HEADLINE
from harness.report.text import slope
from harness.results import RUN_FILE, Results, read_run
from harness.units import amount

PARTS = ("memmap_init", "memblock_free_all", "smp_init", "page_alloc_init_late")
"""Phases of the whole machine that do not overlap, so that a boot is their sum and a rest."""
REST = "the rest of the boot"
INITIALISING = ("memmap_init", "memblock_free_all", "page_alloc_init_late")
SHOWN = ("boot", *INITIALISING, "first-touch")
"""Whose single boots are shown."""


def stacks(stage: Stage) -> Section:
    """Where a boot goes: one bar a variant, one figure a machine and clock."""
    found = []
    for clock, machine, cells in stage.groups():
        title = f"{machine_title(stage.dataset, machine)}, {CLOCKS[clock].lower()}"
        wholes = [bar for cell in cells if (bar := _bar(stage, cell, whole=True))]
        if wholes:
            svg = charts.stacked(title, wholes, UNITS[clock])
            found.append(Figure(f"{title}: the whole boot, in {stage.unit(clock)}", svg))
        alone = [bar for cell in cells if (bar := _bar(stage, cell, whole=False))]
        if alone and clock == "work":
            svg = charts.stacked(title, alone, UNITS[clock])
            found.append(Figure(f"{title}: what initialises memory alone, in instructions", svg))
    note = (
        "One boot a variant, the one with the median boot, so that the parts add up. Phases of the"
        " whole machine that do not overlap; what nodes do at the same time lies inside"
        " page_alloc_init_late or in the rest. On the work clock smp_init holds the wait of an idle"
        " CPU for its timer, which is no work."
    )
    return Section("Where the boot goes", (note,), figures=tuple(found), parts=(*PARTS, REST))


def _bar(stage: Stage, cell: Cell, *, whole: bool) -> Bar | None:
    """The parts of a boot; none where it has no marks or where they would overlap."""
    seen = stage.chosen.get(cell)
    if seen is None or not seen.good or "boot" not in seen.intervals:
        return None
    spans = sorted((*seen.intervals[n], n) for n in PARTS if n in seen.intervals)
    if any(a[1] > b[0] for a, b in itertools.pairwise(spans)):
        return None
    boot, metric = seen.intervals["boot"], UNITS[cell[2]]
    total = boot[1] - boot[0]
    lengths = {name: end - start for start, end, name in spans}
    lengths[REST] = total - sum(lengths.values())
    names = (*PARTS, REST)
    shown = [n for n in names if n in lengths and (whole or n in INITIALISING)]
    who = stage.who[cell[0]]
    parts = tuple(
        (
            names.index(n),
            lengths[n],
            f"{who.name}, {n}: {amount(lengths[n], metric)} ({lengths[n] / total:.0%} of the boot)",
        )
        for n in shown
    )
    return Bar(who, parts, amount(sum(lengths[n] for n in shown), metric))


def growths(stage: Stage, found: Comparison | None) -> Iterator[Figure]:
    """Phases and QEMU's memory against the guest's memory, with the lines that fit."""
    lines = {(g.clock, g.name, g.variant): g for g in (found.growth if found else ())}
    sizes = _sizes(stage.dataset)
    for clock in CLOCKS:
        for name in (*HEADLINE, RSS) if clock == "time" else HEADLINE:
            metric = RSS if name == RSS else own(name, clock)
            curves = []
            for variant in stage.who:
                points = _points(stage, variant, clock, name, sizes)
                if points:
                    growth = lines.get((clock, name, variant))
                    curves.append(_curve(stage.who[variant], points, growth, max(sizes.values())))
            if len({size for curve in curves for size in curve.points}) < 2:
                continue
            shown = "peak resident memory of QEMU" if name == RSS else name
            unit = "bytes of the host" if name == RSS else stage.unit(clock)
            title = f"{shown} against guest memory, {CLOCKS[clock].lower()}"
            yield Figure(f"{title}: {unit}", charts.against_memory(title, metric, curves))


def _sizes(dataset: Dataset) -> dict[str, int]:
    """Machine to its memory."""
    rows = dataset.runs[["machine", "memory_bytes"]].dropna().drop_duplicates()
    return {str(name): int(size) for name, size in rows.to_numpy().tolist()}


def _points(
    stage: Stage, variant: str, clock: str, name: str, sizes: Mapping[str, int]
) -> dict[int, tuple[float, float, float]]:
    points = {}
    for machine, size in sizes.items():
        cell = (variant, machine, clock)
        row = (
            stage.figures.get(cell, "host", "qemu", "", "", RSS)
            if name == RSS
            else stage.figures.phase(cell, name)
        )
        if row and row["median"] and row["min"] > 0:
            points[size] = (row["median"], row["min"], row["max"])
    return points


def _curve(
    who: Who, points: dict[int, tuple[float, float, float]], growth: Growth | None, largest: int
) -> Curve:
    line = growth.line if growth else None
    if growth is None or line is None or not line.straight:
        return Curve(who, points)
    inside = np.geomspace(line.smallest, line.largest, 24)
    outside = np.geomspace(line.largest, largest, 24 if largest > line.largest else 0)
    told = f"{who.name}: {slope(line.slope, growth.metric)}"
    drawn, beyond = (
        tuple((float(size), line.at(int(size))[0]) for size in part) for part in (inside, outside)
    )
    return Curve(who, points, drawn, beyond, told)


def host_memory(stage: Stage, results: Results) -> Section:
    """QEMU's resident memory over the boot of the largest machines, phases below."""
    timed = [(m, cells) for clock, m, cells in stage.groups() if clock == "time"]
    most = max((len(cells) for _, cells in timed), default=0)
    shared = [m for m, cells in timed if len(cells) == most]
    wanted = dict.fromkeys([*shared[-1:], *(m for m, _ in timed[-1:])])
    found = []
    for machine in wanted:
        cells = dict(timed)[machine]
        lanes = [lane for cell in cells if (lane := _lane(stage, cell, results))]
        if lanes:
            title = f"{machine_title(stage.dataset, machine)}: QEMU's resident memory over the boot"
            caption = f"{title}, phases below; {stage.unit('time')}"
            found.append(Figure(caption, charts.over_boot(title, lanes)))
    note = (
        "The largest machine that most variants booted on, and the largest of all; one boot a"
        " variant, the one with the median boot. What comes after page_alloc_init_late is the rest"
        " of the boot and then the probes, whose pages are resident too."
    )
    notes = (note,) if found else ()
    return Section("Host memory over the boot", notes, figures=tuple(found), parts=PARTS)


def _lane(stage: Stage, cell: Cell, results: Results) -> Lane | None:
    seen = stage.chosen.get(cell)
    if seen is None or not seen.good:
        return None
    try:
        run = read_run(results.path / seen.evidence / RUN_FILE)
    except ResultsError:
        return None
    if len(run.samples) < 2:
        return None
    who = stage.who[cell[0]]
    phases = []
    for name in PARTS:
        if name in seen.hosted:
            begin, end = seen.hosted[name]
            said = f"{who.name}, {name}: {amount(end - begin, 'duration_s')} from {begin:.2f} s on"
            phases.append((PARTS.index(name), begin, end, said))
    samples = tuple((sample.host_s, float(sample.rss_bytes)) for sample in run.samples)
    return Lane(who, samples, tuple(phases))


def distributions(stage: Stage, table: Table) -> Section:
    """Every boot of the time clock as a dot."""
    titles = {m: machine_title(stage.dataset, m) for clock, m, _ in stage.groups()}
    found = []
    for subject, series in table.items():
        if subject.clock == "time" and subject.name in SHOWN:
            rows = [_row(stage.who[v], series[v], subject) for v in stage.who if v in series]
            title = f"{titles[subject.machine]}: {subject.name}"
            unit = subject.metric.replace("_", " ") if subject.name == "first-touch" else ""
            caption = f"{title}, {unit or stage.unit('time')}"
            svg = charts.every_boot(title, subject.metric, rows)
            found.append(Figure(caption, svg, folded=subject.name != "boot"))
    note = (
        "One dot a boot, warm-ups left out, in each row from the first block down to the last: what"
        " drifts is a slope. The line is the median. A boot that failed has no dot; see Outcomes."
    )
    return Section("Every boot", (note,) if found else (), figures=tuple(found))


def _row(who: Who, series: Series, subject: Subject) -> Row:
    boots = tuple(zip(series.blocks.tolist(), series.values.tolist(), strict=True))
    values: Sequence[float] = series.values.tolist()
    said = (
        f"{who.name}: {len(boots)} boots, median {amount(series.median, subject.metric)},"
        f" {amount(min(values), subject.metric)} to {amount(max(values), subject.metric)}"
    )
    return Row(who, boots, series.median, said)
