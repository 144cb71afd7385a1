# SPDX-License-Identifier: GPL-2.0-only
"""A comparison as tables of text: for a terminal, and in Markdown for a cover letter. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from harness.compare import (
    RSS,
    Comparison,
    Exact,
    Family,
    Fit,
    Growth,
    Look,
    Tested,
    noise,
    per_gib,
    per_page,
    per_tib,
    scope,
)
from harness.dataset import Dataset, machine_title
from harness.report.document import Table
from harness.results import Damage
from harness.text import markdown
from harness.units import amount, format_size


def spread(row: dict[str, Any] | None, metric: str) -> str:
    """Median with smallest and largest, where there is more than one boot."""
    if not row or row.get("median") is None:
        return "-"
    text = amount(row["median"], metric)
    if (row["n"] or 0) > 1 and row["min"] != row["max"]:
        text += f" [{amount(row['min'], metric)}, {amount(row['max'], metric)}]"
    return text


_TOGETHER = "p adjusted over all of them"


def tables(found: Comparison, largest: int | None = None) -> Iterator[Table]:
    """Every table that has a row. Lines are extended to `largest` bytes of memory."""
    yield from verdict_tables(found)
    yield from growth_tables(found.growth, largest)
    yield from warning_tables(found)


def verdict_tables(found: Comparison) -> Iterator[Table]:
    """What differs from the baseline: what is noisy, what is exact, and what does not boot."""
    for family in found.families:
        yield _tests(f"{family.name}, {_how(family)}", family.tests)
    yield from _work(found)
    yield from _boots(found)


def warning_tables(found: Comparison) -> Iterator[Table]:
    """What to look at before any of it is believed."""
    rows = [
        [s.rule, s.machine, "all" if s.block is None else str(s.block), s.detail]
        for s in found.suspects
    ]
    if rows:
        yield Table(["rule", "machine", "block", "what was seen"], rows, "suspect by rule", 4)
    rows = [
        [g.subject.machine, g.subject.name, g.variant, f"{g.left_out} of {g.blocks}"]
        for g in found.gaps
    ]
    if rows:
        title = "left out: blocks in which a figure is 0, which has no ratio"
        yield Table(["machine", "metric", "variant", "blocks"], rows, title, 3)
    rows = [
        [d.variant, d.subject.machine, d.subject.name, _listed(d.counts)] for d in found.defects
    ]
    if rows:
        title = "DEFECT: repeats of the work clock differ, so no count of these cells is exact"
        yield Table(["variant", "machine", "metric", "instructions by block"], rows, title, 4)


def looked(looks: Sequence[Look], damage: Sequence[Damage] = ()) -> Iterator[Table]:
    """When it was looked whether to add blocks, and what was seen."""
    rows = []
    for look in looks:
        widest = look.widest
        cell = ["-", "-"] if widest is None else [widest.machine, widest.variant]
        part = None if widest is None else widest.part
        seen = "-" if part is None else f"±{part:.2%}"
        word = "yes" if look.reached else "no"
        rows.append([look.metric, *cell, str(look.blocks), seen, f"±{look.wanted:.2%}", word])
    head = ["metric", "machine", "variant", "blocks", "widest 95 %", "wanted", "reached"]
    notes = tuple(f"Damaged: {item.path.name}: {item.reason}" for item in damage)
    if rows or notes:
        yield Table(head, rows, "looks of `run --until`, at widths alone", 3, notes)


def _how(family: Family) -> str:
    """By what the tests of a family are settled."""
    if any(t.effect.p is not None for t in family.tests):
        return _TOGETHER
    floor = amount(noise().memory_bytes, RSS)
    return f"ranges with a floor of {floor}, by which boots of one kernel differ"


def _listed(counts: dict[int, int]) -> str:
    return ", ".join(f"{block}: {count}" for block, count in list(counts.items())[:4])


def _tests(title: str, tests: Sequence[Tested]) -> Table:
    head = [
        "machine",
        "metric",
        "variant",
        "verdict",
        "baseline",
        "difference",
        "change",
        "interval",
    ]
    rows = [
        [
            t.subject.machine,
            t.subject.title + (" (work clock)" if t.subject.clock == "work" else ""),
            t.variant,
            verdict(t),
            amount(t.base_median, t.subject.metric),
            signed(t.difference, t.subject.metric),
            percent(t.effect.estimate),
            interval(t),
            str(t.effect.n),
            "-" if t.verdict.adjusted_p is None else f"{t.verdict.adjusted_p:.2g}",
        ]
        for t in tests
    ]
    open_ones = sum(t.verdict.word == "inconclusive" for t in tests)
    notes = [f"{open_ones} of {len(tests)} inconclusive"] if open_ones else []
    few = [t.effect.n for t in tests if scope(t.effect) == "range" and t.effect.low is not None]
    if few:
        holds = 1 - 2.0 ** (1 - min(few))
        notes.append(
            f"range: smallest and largest of fewer than six blocks; of {min(few)} it holds the"
            f" median in {holds:.0%} of experiments, so it is no 95 % interval"
        )
    return Table([*head, "n", "adjusted p"], rows, title, 4, tuple(notes))


def _work(found: Comparison) -> Iterator[Table]:
    rows = [
        [
            e.subject.machine,
            e.subject.title,
            e.variant,
            changed(e),
            amount(e.base_count, e.subject.metric),
            f"{e.count / e.base_count:.6g}" if e.base_count else "-",
        ]
        for e in found.exact
    ]
    if rows:
        title = f"work clock: {len(rows)} counts of instructions, exact, not a time"
        head = ["machine", "metric", "variant", "verdict", "baseline", "ratio"]
        yield Table(head, rows, title, 4)


def _boots(found: Comparison) -> Iterator[Table]:
    head = ["variant", "machine", "clock", "verdict", "good boots", "baseline", "adjusted p"]
    rows = [
        [
            s.variant,
            s.machine,
            s.clock,
            s.word,
            f"{s.good}/{s.boots}",
            f"{s.base_good}/{s.base_boots}",
            "-" if s.adjusted_p is None else f"{s.adjusted_p:.2g}",
        ]
        for s in found.success
        if s.word != "all booted"
    ]
    if rows:
        tests = "time clock: Fisher's exact test of each variant's boots; work clock: exact"
        yield Table(head, rows, f"boots that came to their end; {tests}", 4)


def growth_tables(growth: Sequence[Growth], largest: int | None) -> Iterator[Table]:
    """The lines through the sizes, for metrics that have any."""
    head = ["metric", "variant", "clock", "sizes", "at 0", "slope", "95 %", "straight?"]
    at = f"at {format_size(largest)}" if largest else ""
    rows = []
    for g in growth:
        if g.line is None:
            continue
        line = g.line
        text = "yes" if line.straight else f"NO: off by {_miss(g)}"
        row = [
            g.name,
            g.variant,
            g.clock,
            f"{format_size(line.smallest)} to {format_size(line.largest)} ({g.sizes})",
            amount(line.intercept, g.metric),
            slope(line.slope, g.metric),
            f"{slope(line.slope_low, g.metric, unit=False)}"
            f" to {slope(line.slope_high, g.metric, unit=False)}",
            text,
        ]
        if largest:
            row.append(_followed(line, g.metric, largest))
        rows.append(row)
    waits = sum(g.waits for g in growth)
    few = sum(g.line is None for g in growth) - waits
    why = {"under 3 sizes": few, "they hold waits, which were not recorded apart": waits}
    notes = tuple(f"{count} not fitted: {text}" for text, count in why.items() if count)
    if rows or notes:
        yield Table([*head, *([at] if at else [])], rows, "growth with memory", 4, notes)


def _followed(line: Fit, metric: str, size: int) -> str:
    """The value of a line, and beyond the sizes its interval, or why there is none."""
    value, beyond = line.at(size)
    if not beyond:
        return amount(value, metric)
    if not line.trusted:
        return "not told: without the largest size the line misses that one"
    low, high = line.interval(size)
    return f"{amount(value, metric)} ({amount(low, metric)} to {amount(high, metric)}) extrapolated"


def _miss(growth: Growth) -> str:
    line = growth.line
    assert line is not None
    return f"{line.misses[line.worst]:+.0%} at {format_size(line.worst)}"


def slope(value: float, metric: str, unit: bool = True) -> str:
    """A slope per byte in the unit that people use for the metric."""
    if metric.endswith("_s"):
        text = f"{per_gib(value) * 1e3:.3g} ms/GiB"
        text += f" = {per_tib(value):.3g} s/TiB"
        return text if unit else f"{per_gib(value) * 1e3:.3g}"
    if metric == RSS:
        return f"{per_gib(value) / (1 << 20):.3g}" + (" MiB/GiB" if unit else "")
    return f"{per_page(value):.5g}" + (" instructions/page" if unit else "")


def percent(log_ratio: float) -> str:
    """A logarithm of a ratio as a change in per cent."""
    change = math.expm1(log_ratio)
    return f"{change:+.1%}" if abs(change) < 10 else f"x{change + 1:.3g}"


def interval(tested: Tested) -> str:
    """The interval of the change, at 95 % or as what it is called."""
    low, high = tested.effect.low, tested.effect.high
    if low is None or high is None:
        return "-"
    called = {"95 %": "", "range": "range ", "A/A floor": ""}[scope(tested.effect)]
    return f"{called}{percent(low)} to {percent(high)}"


def signed(value: float, metric: str) -> str:
    """A difference with its sign and unit."""
    return ("+" if value >= 0 else "-") + amount(abs(value), metric)


def changed(exact: Exact) -> str:
    """The word, and by how much."""
    return f"{exact.word} by {exact.difference:+,}" if exact.word == "changed" else exact.word


def verdict(tested: Tested) -> str:
    """The word, and for an open one what would settle it."""
    found = tested.verdict
    if found.word != "inconclusive":
        return found.word
    if tested.effect.p is None:
        return f"inconclusive: {found.why}"
    if found.why.startswith("needs"):
        return f"inconclusive: {found.why.partition(':')[0]}"
    more = "more than 1000" if found.more_blocks is None else f"about {found.more_blocks}"
    unit = "boots on each side" if tested.effect.test == "Mann-Whitney" else "blocks"
    return f"inconclusive: {more} more {unit}"


def cover_letter(found: Comparison, dataset: Dataset, more: Iterable[Table] = ()) -> str:
    """Tables for a cover letter in Markdown, with what they rest on."""
    parts = [_rests_on(found, dataset)]
    for table in (*tables(found), *more):
        if table.rows:
            notes = "".join(f"\n{markdown(note)}\n" for note in table.notes)
            parts.append(f"**{markdown(table.title)}**\n\n{table.markdown()}{notes}")
    return "\n".join(parts)


def _rests_on(found: Comparison, dataset: Dataset) -> str:
    runs, options = dataset.runs, found.options
    fact = {
        name: ", ".join(dict.fromkeys(runs[name].dropna().astype(str)))
        for name in ("base_version", "host_cpu", "qemu_version", "accel")
    }
    machines = ", ".join(machine_title(dataset, m) for m in dict.fromkeys(runs["machine"]))
    against = f"Baseline: {found.baseline}." if found.baseline else "Baseline: another dataset."
    blocks = "" if found.paired else " Boots of two datasets: no pairs, and any drift counts in."
    emulated = (
        " Seconds are seconds of emulation, not of hardware." if "tcg" in fact["accel"] else ""
    )
    return (
        f"Base {fact['base_version'] or 'prebuilt'}; {machines}; QEMU {fact['qemu_version']}"
        f" ({fact['accel']}) on {fact['host_cpu']}.{emulated} {against}{blocks}"
        " Change: centre of the log-ratios of paired boots with its 95 % interval, or their"
        " range from under six; p adjusted by Benjamini and Hochberg over the tests of each table."
        f" Smallest effect of interest: {options.part:.0%} and {options.seconds * 1e3:g} ms; of"
        f" memory {options.part:.0%} and {format_size(options.bytes)}.\n"
    )
