# SPDX-License-Identifier: GPL-2.0-only
"""The figures of every boot as one long table: cell, block, subject, value. Pure.

Warm-ups and boots that ended neither ok nor in a warning are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from harness.model import GOOD
from harness.parse import SCATTERED, WAITING

CELL = ["variant", "machine", "clock"]
RUN = [*CELL, "block", "run_id"]
SUBJECT = ["kind", "name", "node", "source", "metric"]

GROWN = "host_rss_grown_bytes"
IDLE = "idle"

Metrics = Mapping[tuple[str, str], Sequence[str]]

METRICS: Metrics = {
    ("phase", "time"): ("duration_s", "busy_s", "ns_per_page", GROWN),
    ("phase", "work"): ("instructions", "busy_instructions", "instructions_per_page", IDLE),
    ("touch", "time"): ("duration_ns", "ns_per_page"),
    ("touch", "work"): ("instructions", "instructions_per_page"),
    ("host", ""): ("host_rss_peak_bytes", "host_rss_end_bytes", "host_minor_faults"),
    ("meminfo", ""): ("mem_total", "mem_free", "mem_available"),
}
"""What is observed: columns of the tables, and for meminfo the names of the facts."""

PROBES = ("touch_total", "meminfo")
"""Those whose facts are figures."""

OWN = {"time": "duration_s", "work": "instructions"}
"""What a phase takes, by clock."""
BUSY = {"time": "busy_s", "work": "busy_instructions"}


def observe(
    runs: pd.DataFrame, phases: pd.DataFrame, probes: pd.DataFrame, metrics: Metrics = METRICS
) -> pd.DataFrame:
    """Columns: those of `CELL`, block, those of `SUBJECT`, value; an empty text where none."""
    return pd.concat(observations(runs, phases, probes, metrics), ignore_index=True)


def observations(
    runs: pd.DataFrame, phases: pd.DataFrame, probes: pd.DataFrame, metrics: Metrics = METRICS
) -> Iterator[pd.DataFrame]:
    """The same table in parts: all of a subject is in one of them, and no part holds them all.

    Of many boots the whole table is much larger than those that it is made of.
    """
    yield from _phases(_good(phases), metrics)
    yield from _probes(_good(probes), metrics)
    good = _good(runs)
    for metric in metrics["host", ""]:
        yield _long(good, metric, "host", "qemu")


def is_observed(probes: pd.DataFrame) -> pd.Series[bool]:
    """The rows of what probes said that become observations."""
    return probes["probe"].isin(PROBES)


SOURCES = ("mark", "profile", "printk")
"""What tells what a phase takes, the best first."""

Sources = Mapping[tuple[str, str], str]
"""By clock and phase what tells it, for all that is shown side by side."""


def sources(*figures: Iterable[tuple[str, str, str, str, str]]) -> Sources:
    """What tells each phase where figures stand side by side: one source for all of them.

    `figures`, of each dataset: variant, machine, clock, phase, source. The best that every cell
    with the phase has; where none is, the best that there is, and cells without it have no figure.
    Two datasets are one comparison, and cells of one name in them are two.
    """
    there: dict[tuple[str, str], dict[str, set[tuple[int, str, str]]]] = {}
    for number, known in enumerate(figures):
        for variant, machine, clock, name, source in known:
            if source in SOURCES:
                found = there.setdefault((clock, name), {})
                found.setdefault(source, set()).add((number, variant, machine))
    told = {}
    for key, found in there.items():
        every = {cell for cells in found.values() for cell in cells}
        ranked = [source for source in SOURCES if source in found]
        told[key] = next((each for each in ranked if found[each] == every), ranked[0])
    return told


def untold(phases: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """Variants and phases whose figures by the work clock hold waits not recorded apart."""
    # A profile has what was executed and nothing else.
    mine = phases[phases["source"] != "profile"]
    mine = mine[mine["phase"].isin(WAITING) & mine[IDLE].isna()]
    mine = mine[mine[OWN["work"]].notna()]
    return frozenset(mine[["variant", "phase"]].itertuples(index=False, name=None))


def own(name: str, clock: str) -> str:
    """The metric that says what a phase takes."""
    return (BUSY if name in SCATTERED else OWN)[clock]


def _good(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table["warmup"] & table["outcome"].isin(GOOD)]


def _long(
    table: pd.DataFrame, metric: str, kind: str, name: pd.Series[str] | str, node: str = ""
) -> pd.DataFrame:
    """One metric of a table as observations; empty ones left out."""
    about = {"kind": kind, "name": name, "node": node, "metric": metric}
    long = table[[*CELL, "block"]].assign(
        **about, source=table.get("source", ""), value=table[metric]
    )
    return long[long["value"].notna()]


def _phases(phases: pd.DataFrame, metrics: Metrics) -> Iterator[pd.DataFrame]:
    for clock, ends in (("time", "s"), ("work", "instructions")):
        mine = phases[phases["clock"] == clock]
        key = [*RUN, "phase", "source"]
        whole = mine[mine["node"].isna()].drop_duplicates(key)
        nodes = mine[mine["node"].notna()]
        slowest = nodes.groupby(key, as_index=False)[list(metrics["phase", clock])].max()
        for metric in metrics["phase", clock]:
            yield _long(whole, metric, "phase", whole["phase"])
            yield _long(slowest, metric, "phase", slowest["phase"], "max")
        start, end, metric = f"start_{ends}", f"end_{ends}", OWN[clock]
        span = nodes.groupby(key, as_index=False).agg({start: "min", end: "max"})
        span[metric] = span[end] - span[start]
        yield _long(span, metric, "phase", span["phase"], "span")


def _probes(probes: pd.DataFrame, metrics: Metrics) -> Iterator[pd.DataFrame]:
    # A row about one thread says how even the work was, not how long the pass took.
    touch = probes[(probes["probe"] == PROBES[0]) & probes["name"].notna()]
    touch = touch[touch["touched_pages"].notna()].drop_duplicates([*RUN, "name"])
    for clock in ("time", "work"):
        mine = touch[touch["clock"] == clock]
        for metric in metrics["touch", clock]:
            yield _long(mine, metric, "probe", mine["name"])
    facts = metrics["meminfo", ""]
    meminfo = probes[(probes["probe"] == PROBES[1]) & probes["name"].isin(facts)]
    meminfo = meminfo.drop_duplicates([*RUN, "name"])
    yield _long(meminfo, "memory_bytes", "probe", meminfo["name"])
