# SPDX-License-Identifier: GPL-2.0-only
"""The sections of the report, as plain data: what is said is decided here, how it looks is not."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.compare import claims
from harness.dataset import CLOCKS, IDLE, UNITS, Cell, Dataset, Summary, cells_of
from harness.errors import ResultsError
from harness.files import read_text
from harness.gate import checks
from harness.model import TOUCHES, is_arm
from harness.parse import SCATTERED
from harness.report.context import Context
from harness.report.document import Section, Table
from harness.report.text import spread
from harness.results import Results
from harness.text import clean
from harness.units import amount, format_size

HEADLINE = ("memmap_init", "memblock_free_all", "page_alloc_init_late", "boot")
MAX_EXCERPTS = 20


def headline_table(dataset: Dataset, figures: Summary) -> Table:
    head = ["variant", "machine", "clock", "good boots", *HEADLINE, "boot : baseline", "peak RSS"]
    rows = []
    for cell in cells_of(dataset):
        boots = figures.get(cell, "boots", "analysed", "", "", "boots") or {}
        boot, waits = figures.phase(cell, "boot") or {}, figures.waits(cell, "boot")
        rss = figures.get(cell, "host", "qemu", "", "", "host_rss_peak_bytes") or {}
        rows.append(
            [
                figures.label(cell[0]),
                *cell[1:],
                f"{boots.get('n') or 0}/{boots.get('runs') or 0}",
                *(_took(figures, cell, name) for name in HEADLINE),
                "-" if boot.get("ratio") is None or waits else f"{boot['ratio']:.3g}",
                amount(rss.get("median"), "host_rss_peak_bytes"),
            ]
        )
    return Table(head, rows, left=3)


def _took(figures: Summary, cell: Cell, name: str) -> str:
    row, other = figures.phase(cell, name), figures.elsewhere(cell, name)
    if other:
        return f"{amount(other[1]['median'], UNITS[cell[2]])} ({other[0]})"
    text = amount(row["median"] if row else None, UNITS[cell[2]])
    return f"{text} with waits" if row and figures.waits(cell, name) else text


def caveats(dataset: Dataset, figures: Summary) -> Section:
    """What to know before reading any figure."""
    notes = (*figures.caveats(), *_caveats(dataset, figures))
    return Section("How to read the figures", notes)


def _caveats(dataset: Dataset, figures: Summary) -> tuple[str, ...]:
    notes = []
    if "tcg" in set(dataset.runs["accel"].dropna()):
        notes.append(
            "These boots ran under emulation (TCG). Seconds are seconds of emulation, not of"
            " hardware; compare them within this dataset only."
        )
    if "work" in set(dataset.runs["clock"].dropna()):
        notes.append(
            "The work clock counts guest instructions (-icount). It knows no cache, no TLB and"
            " no bandwidth, runs parallel work one after the other, and is not a time. While no"
            " CPU has anything to do it runs on to the next timer; that is counted apart, as idle."
        )
    if any(figures.waits(cell, "boot") for cell in cells_of(dataset)):
        notes.append(
            "“with waits”: here nobody has told idle from work on the work clock, above all that of"
            " smp_init, and with it that of boot. No ratio, claim or line is made of such a figure."
        )
    notes.append(
        "Figures are medians over the good boots; where brackets follow one, they hold the smallest"
        " and the largest. Phases of different nodes overlap: they do not add up."
    )
    return tuple(notes)


def phases(dataset: Dataset, figures: Summary) -> Iterator[Section]:
    """Every phase by each clock, a column a variant."""
    cells = cells_of(dataset)
    for clock, title in CLOCKS.items():
        tables = []
        for machine in dict.fromkeys(c[1] for c in cells if c[2] == clock):
            mine = [c for c in cells if c[1:] == (machine, clock)]
            tables.append(_phase_table(figures, mine, machine, clock))
        unit = "seconds under emulation" if clock == "time" else "guest instructions"
        note = (
            f"Every phase in {unit}, from its start to its end; nodes: from the first start to the"
            f" last end of all nodes; {', '.join(sorted(SCATTERED))}: the sum over its calls,"
            " which lie far apart."
        )
        if any(table.rows for table in tables):
            yield Section(f"{title}: phases", (note,), tuple(tables), folded=True)


def _phase_table(figures: Summary, cells: list[Cell], machine: str, clock: str) -> Table:
    metric = UNITS[clock]
    names = {
        (key[4], key[5]): None
        for key in figures.rows
        if key[1:4] == (machine, clock, "phase") and key[5] != "max"
        if key[6] == figures.sources.get((clock, key[4])) and key[6] != "printk"
        if key[7] == metric
    }
    rows = []
    for name, node in sorted(names):
        found = [figures.phase(cell, name, node) for cell in cells]
        label = f"{name} (nodes)" if node else name
        if figures.sources[clock, name] == "profile":
            label += " (profile)"
        texts = (
            spread(row, metric) + (f"  x{row['ratio']:.3g}" if row and row.get("ratio") else "")
            for row in found
        )
        rows.append([label, *texts])
    for name, node in sorted(names) if clock == "work" else ():
        source = figures.sources[clock, name]
        idle = [figures.get(c, "phase", name, node and "max", source, IDLE) for c in cells]
        if any(row and row["max"] for row in idle):
            rows.append([f"{name}: idle, apart", *(spread(row, metric) for row in idle)])
    return Table(["phase", *(figures.label(cell[0]) for cell in cells)], rows, machine)


_BYTES, _GROWN = "host_rss_peak_bytes", "host_rss_grown_bytes"
_FACTS = (
    ("peak RSS", ("host", "qemu", "", "", _BYTES)),
    ("MemTotal", ("probe", "mem_total", "", "", "memory_bytes")),
    ("MemFree", ("probe", "mem_free", "", "", "memory_bytes")),
    ("MemAvailable", ("probe", "mem_available", "", "", "memory_bytes")),
)


def memory(dataset: Dataset, figures: Summary) -> Section:
    """What QEMU took of the host, and what the guest says it has."""
    machines = dataset.lock.machines if dataset.lock else {}
    rows = [
        [
            figures.label(cell[0]),
            *cell[1:],
            amount(machines[cell[1]].memmap, _BYTES) if cell[1] in machines else "-",
            *(spread(figures.get(cell, *subject), _BYTES) for _, subject in _FACTS),
        ]
        for cell in cells_of(dataset)
    ]
    head = ["variant", "machine", "clock", "memmap", *(name for name, _ in _FACTS)]
    note = "Peak RSS is QEMU's on the host, the probes' pages included; the others the guest's own."
    tables = (Table(head, rows, left=3), _grown(dataset, figures))
    return Section("Memory", (note,), tables if tables[1].rows else tables[:1], folded=True)


def _grown(dataset: Dataset, figures: Summary) -> Table:
    rows = []
    for cell in cells_of(dataset):
        found = [figures.get(cell, "phase", name, "", "mark", _GROWN) for name in HEADLINE]
        if any(found):
            rows.append(
                [figures.label(cell[0]), *cell[1:], *(spread(row, _GROWN) for row in found)]
            )
    caption = "Growth of QEMU's resident memory during a phase, interpolated between samples"
    return Table(["variant", "machine", "clock", *HEADLINE], rows, caption, left=3)


def touch(dataset: Dataset, figures: Summary) -> Section:
    """The cost of a page fault after the boot."""
    tables = []
    for clock, title in CLOCKS.items():
        metric = "ns_per_page" if clock == "time" else "instructions_per_page"
        rows = []
        for cell in (c for c in cells_of(dataset) if c[2] == clock):
            found = [figures.get(cell, "probe", name, "", "", metric) for name in TOUCHES]
            if any(found):
                texts = (
                    spread(row, metric) + (f"  x{row['ratio']:.3g}" if row and row["ratio"] else "")
                    for row in found
                )
                rows.append([figures.label(cell[0]), cell[1], *texts])
        if rows:
            unit = metric.replace("_", " ")
            tables.append(Table(["variant", "machine", *TOUCHES], rows, f"{title}: {unit}", left=2))
    notes = (
        "A word written to every page, by several threads. first-touch is the first use of memory"
        " after the boot, with whatever a lazy kernel left to do; touch-recycled is the same"
        " fault on memory that was used and given back, where a lasting cost would show;"
        " retouch-mapped is the loop alone. x is the ratio to the baseline.",
    )
    told = notes if tables else ()
    return Section("Page faults afterwards", told, tuple(tables), folded=True)


def claimed(dataset: Dataset, figures: Summary) -> Section:
    """What authors claimed, beside what this dataset says."""
    if dataset.lock is None:
        return Section("Claims")
    evidence = [claims.ClaimData(dataset.lock, figures)]
    variants = dataset.lock.variants.items()
    once = [v.model_copy(update={"name": name}) for name, v in variants if not is_arm(name)]
    rows: dict[str, list[list[str]]] = {}
    for row in claims.findings(once, evidence):
        title = "goals of this project" if row.claim.goal else "claims of others"
        rows.setdefault(title, []).append(
            [
                row.verdict,
                figures.label(row.variant),
                row.claim.text,
                row.measured,
                row.why,
                claims.author(dataset.lock.variants[row.variant], row.claim),
            ]
        )
    head = ["verdict", "variant", "claim", "measured here", "why", "by"]
    note = (
        "What was claimed, beside what this dataset says of it on the largest machine that it has"
        " both kernels on, by each clock that can tell. A gain has held at nine tenths of what was"
        " claimed; where one clock says so and the other does not, that cannot be compared. Seconds"
        " of 2013 are compared as ratios: nothing here is a time of hardware."
    )
    tables = tuple(Table(head, rows[title], title, left=6) for title in sorted(rows))
    return Section("Claims", (note,) if rows else (), tables)


def outcomes(dataset: Dataset, root: Path) -> Section:
    """How the boots ended, with the console around what went wrong."""
    runs = dataset.runs
    keys = runs[["variant", "machine", "clock", "outcome"]].astype(str).to_numpy().tolist()
    rows = [[*key, str(count)] for key, count in sorted(Counter(map(tuple, keys)).items())]
    bad = runs[~runs["outcome"].isin(["ok"])]
    excerpts = []
    for run in bad.head(MAX_EXCERPTS).to_dict("records"):
        lines = "\n".join(clean(line) for line in dataset.excerpts.get(str(run["evidence"]), ()))
        reason = "" if run["reason"] is None or run["reason"] != run["reason"] else run["reason"]
        excerpts.append((f"{run['evidence']}: {run['outcome']} {reason}", lines))
    notes = [f"{len(runs)} boots, warm-ups included; {len(bad)} not ok."]
    again = int((runs["attempt"] > 1).sum())
    if again:
        notes.append(
            f"{again} boots took more than one attempt: an earlier one was interrupted, asked for"
            " again, or ended by a defect of the emulator. Each is kept beside its run."
        )
    if dataset.repeats.cells:
        notes.append(str(dataset.repeats))
    notes += [f"NOT THE SAME: {mismatch}" for mismatch in dataset.repeats.mismatches]
    notes += [
        f"Damaged: {clean(item.within(root))}: {clean(item.reason)}" for item in dataset.damage
    ]
    head = ["variant", "machine", "clock", "outcome", "boots"]
    good = not (len(bad) or dataset.repeats.mismatches or dataset.damage)
    tables = (Table(head, rows, left=4),)
    return Section("Outcomes", tuple(notes), tables, excerpts=tuple(excerpts), folded=good)


def environment(dataset: Dataset) -> Section:
    """Host, QEMU and kernels."""
    names = (
        *("host_cpu", "host_cpus", "host_memory_bytes", "host_kernel", "qemu_version", "accel"),
        *("host_thp", "tsc_khz", "base_version", "toolchain", "harness_version"),
    )
    rows = []
    for name in names:
        values = dict.fromkeys(dataset.runs[name].dropna().tolist())
        texts = [amount(v, name) if name.endswith("_bytes") else str(v) for v in values]
        rows.append([name, ", ".join(texts) or "-"])
    kernels = dataset.runs[["variant", "kernel_id", "tree", "build_warnings"]].drop_duplicates()
    built = [
        [str(r["variant"]), *(str(r[k]) for k in ("kernel_id", "tree", "build_warnings"))]
        for r in kernels.to_dict("records")
    ]
    head = ["variant", "kernel", "tree", "build warnings"]
    tables = (Table(["fact", "value"], rows, left=2), Table(head, built, "Kernels", left=3))
    return Section("Environment", tables=tables, folded=True)


_SHOWN = {
    "measured": "measured build",
    "debug": "debug build, memmap poisoned",
    "huge-page": "a huge page of the boot",
    "cma": "a CMA area",
    "stale-memmap": "a memmap of an earlier kernel",
}


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
    if {row["build"] for row in found} <= checks.SCENARIOS.keys():
        note = (
            "Each check in each scenario. What a boot did not report has failed. What is known to"
            " fail is written where its detail says."
        )
    yield Section("Correctness gate", (note,), tuple(tables))


def limit_sections(dataset: Dataset) -> Iterator[Section]:
    """The largest machine of each variant, and why the next one failed."""
    if dataset.limits.empty:
        return
    figures = Summary.of(dataset.summary)
    known = dataset.limits.astype(object).where(dataset.limits.notna(), None)
    table = limit_table(known.to_dict("records")).told("variant", figures.label)
    note = (
        "The largest machine of four nodes that came to user space on this host, and how the next"
        " larger one ended. Sizes are an eighth of a power of two apart."
    )
    yield Section("Largest machine", (note,), (table,))


def limit_table(rows: Iterable[Mapping[Any, Any]]) -> Table:
    """Rows of limits.csv for people."""
    head = ["variant", "boots up to", "host memory", "next size", "why not"]
    sizes = ("max_bootable_bytes", "host_rss_peak_bytes", "next_bytes")
    body = []
    for row in rows:
        told = ["-" if row[key] is None else format_size(int(row[key])) for key in sizes]
        why = ": ".join(str(row[key]) for key in ("next_outcome", "next_reason") if row[key])
        body.append([str(row["variant"]), *told, why or "-"])
    return Table(head, body)


def _caption(variant: str, rows: Sequence[Mapping[Hashable, object]]) -> str:
    return f"{variant}: {len(rows)} checks, {checks.in_short([row['result'] for row in rows])}"


CACHE = '"${PAGEINIT_CACHE:-$HOME/.cache/pageinit}"'
_CACHED = re.compile(r"/.*(/(?:kernels|initramfs)/[\w.-]+/[\w.-]+)")
"""A file of the cache: its name holds the hash of what it is, wherever the cache lies."""


def reproduction(context: Context, results: Results) -> Section:
    """A block for each cell; nothing where no evidence is at hand."""
    blocks = []
    for _, _, cells in context.groups():
        for cell in cells:
            if lines := list(_block(context, cell, results)):
                blocks.append(
                    (" · ".join((context.who[cell[0]].name, *cell[1:])), "\n".join(lines))
                )
    lock = context.dataset.lock
    name = lock.experiment.name if lock else "EXPERIMENT"
    notes = (
        f"All of it again: harness run experiments/{name}.yaml. One boot by hand: the line of QEMU"
        " below, with the console on the terminal and what the probes say in probes.jsonl. The"
        " kernel and the initramfs are named by what they are made of; harness build makes them"
        " where they are missing. Seconds depend on the host; counts of the work clock do not.",
    )
    told = notes if blocks else ()
    return Section("How to reproduce each cell", told, excerpts=tuple(blocks), folded=True)


def _block(context: Context, cell: Cell, results: Results) -> Iterator[str]:
    seen = context.chosen[cell]
    try:
        argv = _words(read_text(results.path / seen.evidence / "qemu.sh"))
    except ResultsError:
        return
    if not argv:
        return
    lock = context.dataset.lock
    if lock and not (lock.experiment.gated or lock.experiment.search):
        yield f"harness build {shlex.quote(cell[0])}"
    yield from _command(argv)


def _words(script: str) -> list[str]:
    """The words behind ``exec``; none where this is no script of ours."""
    _, found, command = script.partition("\nexec ")
    try:
        return shlex.split(command.replace("\\\n", "")) if found else []
    except ValueError:
        return []


def _command(argv: Sequence[str]) -> Iterator[str]:
    """An option and its value a line."""
    lines = [argv[0]]
    for word in argv[1:]:
        quoted = _quoted(word)
        if word.startswith("-") or lines[-1].count(" ") or lines[-1] == argv[0]:
            lines.append(quoted)
        else:
            lines[-1] += f" {quoted}"
    yield from (f"{line} \\" for line in lines[:-1])
    yield lines[-1]


def _quoted(word: str) -> str:
    match = _CACHED.fullmatch(word)
    return CACHE + shlex.quote(match[1]) if match else shlex.quote(word)
