# SPDX-License-Identifier: GPL-2.0-only
"""The figures of every boot as one long table: cell, block, subject, value. Pure.

Warm-ups and boots that ended neither ok nor in a warning are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

OWN = {"time": "duration_s", "work": "instructions"}
"""What a phase takes, by clock."""
BUSY = {"time": "busy_s", "work": "busy_instructions"}


def observe(
    runs: pd.DataFrame, phases: pd.DataFrame, probes: pd.DataFrame, metrics: Metrics = METRICS
) -> pd.DataFrame:
    """Columns: those of `CELL`, block, those of `SUBJECT`, value; an empty text where none."""
    good = _good(runs)
    parts = [
        *_phases(_good(phases), metrics),
        *_probes(_good(probes), metrics),
        *(_long(good, metric, "host", "qemu") for metric in metrics["host", ""]),
    ]
    return pd.concat(parts, ignore_index=True)


def untold(phases: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """Variants and phases whose figures by the work clock hold waits not recorded apart."""
    mine = phases[phases["phase"].isin(WAITING) & phases[IDLE].isna()]
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


def _phases(phases: pd.DataFrame, metrics: Metrics) -> list[pd.DataFrame]:
    parts = []
    for clock, ends in (("time", "s"), ("work", "instructions")):
        mine = phases[phases["clock"] == clock]
        key = [*RUN, "phase", "source"]
        whole = mine[mine["node"].isna()].drop_duplicates(key)
        nodes = mine[mine["node"].notna()]
        slowest = nodes.groupby(key, as_index=False)[list(metrics["phase", clock])].max()
        for metric in metrics["phase", clock]:
            parts.append(_long(whole, metric, "phase", whole["phase"]))
            parts.append(_long(slowest, metric, "phase", slowest["phase"], "max"))
        start, end, metric = f"start_{ends}", f"end_{ends}", OWN[clock]
        span = nodes.groupby(key, as_index=False).agg({start: "min", end: "max"})
        span[metric] = span[end] - span[start]
        parts.append(_long(span, metric, "phase", span["phase"], "span"))
    return parts


def _probes(probes: pd.DataFrame, metrics: Metrics) -> list[pd.DataFrame]:
    parts = []
    # A row about one thread says how even the work was, not how long the pass took.
    touch = probes[(probes["probe"] == "touch_total") & probes["name"].notna()]
    touch = touch[touch["touched_pages"].notna()].drop_duplicates([*RUN, "name"])
    for clock in ("time", "work"):
        mine = touch[touch["clock"] == clock]
        for metric in metrics["touch", clock]:
            parts.append(_long(mine, metric, "probe", mine["name"]))
    facts = metrics["meminfo", ""]
    meminfo = probes[(probes["probe"] == "meminfo") & probes["name"].isin(facts)]
    meminfo = meminfo.drop_duplicates([*RUN, "name"])
    return [*parts, _long(meminfo, "memory_bytes", "probe", meminfo["name"])]
