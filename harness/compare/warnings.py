# SPDX-License-Identifier: GPL-2.0-only
"""Rules that call boots of the time clock suspect: by rule and by name, never by hand. Pure.

A suspect block stays in the dataset and in every figure: leaving out what looks odd would make the
tests say what one wants to hear. It is named, so that somebody looks and boots again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from harness.compare.effect import ALPHA, paired
from harness.compare.series import Series, Table, pair
from harness.compare.success import ALL, WORSE, Success
from harness.compare.verdict import Interest
from harness.dataset import Dataset
from harness.model import GOOD, STOOD_STILL, first_arm, is_arm, peer

Rule = Literal[
    "A/A",
    "drift",
    "noise",
    "outlier",
    "load",
    "others",
    "steal",
    "THP",
    "pages",
    "RSS",
    "node",
    "changed",
    "apart",
    "clock",
    "stopped",
    "twice",
    "source",
]

NOISE = 0.05
"""Median absolute deviation of the baseline's boot over its median."""
FAR = 5.0
"""Standard deviations, by the median absolute deviation, from which a block is an outlier."""
FEW = 6
"""Blocks below which no trend and no outlier is looked for."""
BUSY = 0.5
"""Load for each CPU of the host when the experiment started."""
OTHERS = 0.25
"""CPUs that others may keep busy on the average during a boot; 0.04 is what the harness itself and
an idle host take (median of 96 boots, results/reference/aa)."""
STEAL = 0.02
"""Part of the CPU time of QEMU that a hypervisor may have given to others meanwhile."""
PAGE_US = 2.5
"""System CPU in microseconds that a new page of QEMU may take of the host; 2.0 is usual (median of
96 boots, results/reference/aa). A host that runs short of memory takes several times that,
and so does one whose hypervisor takes free pages back, see harness/host_memory.py."""
PAGES = 1_000_000
"""New pages below which what a boot takes besides is not small beside them."""
RSS_PART = 0.85
"""Part of the host's memory above which it takes pages from others to give them to QEMU."""
NODE = 2.0
"""Times the cost of a page on one node may be that of the others."""
PER_NODE = ("memmap_init", "deferred_init")
"""Phases that do the same to every page of a node."""
NODE_PAGES = 1 << 19
"""Pages of a node below which holes and the first calls decide what a page costs."""
SLACK = 2.0
"""Seconds of a boot's start that are rounded away, and some for the host."""
FIXED = ("host", "host_cpu", "host_cpus", "host_kernel", "qemu_version", "accel", "image_sha256")
"""What may not change within a cell."""

Interests = Callable[[str], Interest]


@dataclass(frozen=True)
class Suspect:
    """What a rule found on a machine; `block` is none where it is about all of them."""

    rule: Rule
    machine: str
    detail: str
    block: int | None = None


def suspects(
    dataset: Dataset, table: Table, baseline: str | None, interest: Interests
) -> Iterator[Suspect]:
    """Everything that the rules find on the time clock."""
    runs = dataset.runs
    timed = runs[(runs["clock"] == "time") & ~runs["warmup"]]
    yield from _arms(table, interest)
    yield from _host(timed)
    for subject, variants in table.items():
        if baseline is None or (subject.clock, subject.name) != ("time", "boot"):
            continue
        for name in dict.fromkeys(peer(baseline, variant) for variant in variants):
            if name in variants:
                part = interest(subject.metric).part
                yield from _steady(subject.machine, variants[name], part)
    for machine, boots in timed.groupby("machine", sort=False):
        yield from _changed(str(machine), boots)
        yield from _apart(str(machine), boots)
        yield from _clock(str(machine), boots)
        yield from _twice(str(machine), boots)
        yield from _shared(str(machine), boots)
        yield from _stopped(str(machine), boots)
        yield from _short(str(machine), boots)
    phases = dataset.phases
    yield from _nodes(phases[(phases["clock"] == "time") & ~phases["warmup"]])


def strange(found: Iterable[tuple[str, str, str]]) -> Iterator[Suspect]:
    """Variants whose phases another source tells than those of the others."""
    for variant, clock, lacks in found:
        yield Suspect("source", ALL, f"{variant}, {clock} clock: {lacks}")


def arms_fail(found: Iterable[Success]) -> Iterator[Suspect]:
    """The same kernel under two names must not fail more often under one of them."""
    for success in found:
        if is_arm(success.variant) and success.word in (*WORSE, "fails less"):
            counts = f"{success.good}/{success.boots} and {success.base_good}/{success.base_boots}"
            detail = f"boots: of the same kernel {counts} came to their end"
            yield Suspect("A/A", success.machine, detail)


def _arms(table: Table, interest: Interests) -> Iterator[Suspect]:
    """The same kernel under two names must not differ by an effect of interest."""
    for subject, variants in table.items():
        for variant, series in variants.items():
            first = first_arm(variant)
            if subject.clock != "time" or first == variant or first not in variants:
                continue
            a, b = pair(series, variants[first])
            if len(a) < 3:
                continue
            effect, limits = paired(a, b), interest(subject.metric).bounds(float(np.median(b)))
            if effect.low is None or effect.high is None:
                continue
            if effect.low > limits[1] or effect.high < limits[0]:
                ratio = f"{np.exp(effect.low):.3f} to {np.exp(effect.high):.3f}"
                detail = f"{subject.name}: the same kernel differs from itself by a factor {ratio}"
                yield Suspect("A/A", subject.machine, detail)


def _steady(machine: str, series: Series, part: float) -> Iterator[Suspect]:
    """The baseline's boots among themselves: spread, single blocks far off, a trend."""
    logs, n = np.log(series.values), len(series.values)
    if n < 3:
        return
    deviation = float(stats.median_abs_deviation(series.values)) / series.median
    if deviation > NOISE:
        detail = f"boot of the baseline: MAD over median is {deviation:.1%}, over {NOISE:.0%}"
        yield Suspect("noise", machine, detail)
    if n < FEW or not logs.std():
        return
    away = logs - np.median(logs)
    limit = max(FAR * float(stats.median_abs_deviation(logs, scale="normal")), part)
    for block in series.blocks[np.abs(away) > limit]:
        factor = float(np.exp(away[series.blocks == block][0]))
        detail = f"boot of the baseline took {factor:.2f} times the median"
        yield Suspect("outlier", machine, detail, int(block))
    p = float(stats.kendalltau(series.blocks, logs).pvalue)
    slope = float(stats.theilslopes(logs, series.blocks).slope)
    change = float(np.exp(slope * np.ptp(series.blocks)))
    if p < ALPHA and abs(change - 1) > part:
        detail = f"boot of the baseline changed by a factor {change:.3f} from first to last block"
        yield Suspect("drift", machine, f"{detail} (Kendall, p {p:.2g})")


def _host(boots: pd.DataFrame) -> Iterator[Suspect]:
    load = (boots["load_1min"] / boots["host_cpus"]).max()
    if not pd.isna(load) and load > BUSY:
        worst, cpus = boots["load_1min"].max(), int(boots["host_cpus"].iloc[0])
        yield Suspect("load", ALL, f"load {worst:.2f} on {cpus} CPUs at the start")
    for machine in boots["machine"][boots["host_thp"].fillna(False)].unique():
        detail = "QEMU was allowed huge pages, which hide what a kernel leaves untouched"
        yield Suspect("THP", str(machine), detail)


def _stopped(machine: str, boots: pd.DataFrame) -> Iterator[Suspect]:
    for _, boot in boots[boots["reason"].str.startswith(STOOD_STILL).fillna(False)].iterrows():
        detail = f"{boot['variant']}: {boot['reason']}"
        yield Suspect("stopped", machine, detail, int(boot["block"]))


def _changed(machine: str, boots: pd.DataFrame) -> Iterator[Suspect]:
    """Facts that are not the same in every boot of a cell; each variant has its own kernel."""
    for name in FIXED:
        for variant, cell in boots.groupby("variant", sort=False):
            values = cell[name].dropna().astype(str)
            usual = values.mode()
            if len(usual) and not (values == usual[0]).all():
                odd = cell.loc[values.index[values != usual[0]]]
                for block, value in zip(odd["block"], odd[name].astype(str), strict=True):
                    detail = f"{variant}: {name} is {value}, elsewhere {usual[0]}"
                    yield Suspect("changed", machine, detail, int(block))


def _apart(machine: str, boots: pd.DataFrame) -> Iterator[Suspect]:
    """Blocks whose boots were not one after the other: such boots are no pairs."""
    starts = pd.to_datetime(boots["started_utc"], utc=True, errors="coerce")
    spans = starts.groupby(boots["block"]).agg(["min", "max"]).dropna()
    for block, first, last in zip(spans.index, *spans.T.to_numpy(), strict=True):
        between = (spans["min"] > first) & (spans["min"] < last) & (spans.index != block)
        if between.any():
            others = ", ".join(map(str, spans.index[between]))
            detail = f"its boots lie around those of block {others}: no pairs in time"
            yield Suspect("apart", machine, detail, int(block))


def _clock(machine: str, boots: pd.DataFrame) -> Iterator[Suspect]:
    """A boot that began before the one before it in its block had ended: the clock went back.

    Blocks themselves may come in any order: one that was recorded again comes after all others.
    """
    first = boots[boots["attempt"] == 1].sort_values(["block", "order"])
    starts = pd.to_datetime(first["started_utc"], utc=True, errors="coerce")
    ends = starts + pd.to_timedelta(first["wall_s"].fillna(0.0).astype(float), unit="s")
    back = (ends.groupby(first["block"]).shift() - starts).dt.total_seconds()
    for block, seconds in zip(first["block"][back > SLACK], back[back > SLACK], strict=True):
        detail = f"the clock of the host went back by {seconds:.0f} s or more before a boot"
        yield Suspect("clock", machine, detail, int(block))


def _twice(machine: str, boots: pd.DataFrame) -> Iterator[Suspect]:
    """Blocks in which one variant came to its end more than once: the first boot is compared."""
    good = boots[boots["outcome"].isin(GOOD)]
    for key, same in good.groupby(["block", "variant"], sort=False):
        if len(same) > 1:
            detail = f"{key[1]}: {len(same)} good boots of one block, of which the first counts"
            yield Suspect("twice", machine, detail, int(str(key[0])))


def _shared(machine: str, boots: pd.DataFrame) -> Iterator[Suspect]:
    """Blocks with a boot that did not have the CPUs it asked for."""
    own_s = boots["host_user_s"] + boots["host_system_s"]
    limits = {"others": boots["wall_s"] * OTHERS, "steal": own_s * STEAL}
    rules: tuple[tuple[Rule, str], ...] = (
        ("others", "other processes had"),
        ("steal", "the hypervisor below gave others"),
    )
    for rule, words in rules:
        taken = boots[f"host_{rule}_s"]
        over = (taken > limits[rule]).fillna(False)
        facts = boots[over].assign(taken=taken[over])[["block", "variant", "taken", "wall_s"]]
        for block, variant, seconds, wall_s in facts.itertuples(index=False):
            detail = f"{variant}: {words} {seconds:.2f} s of CPU time in a boot of {wall_s:.1f} s"
            yield Suspect(rule, machine, detail, int(block))


def _short(machine: str, boots: pd.DataFrame) -> Iterator[Suspect]:
    """Blocks in which the host's memory, and not the kernel, set the pace."""
    told = boots[boots["host_minor_faults"] > PAGES]
    told = told.assign(us=1e6 * told["host_system_s"] / told["host_minor_faults"])
    facts = told[(told["us"] > PAGE_US).fillna(False)][["block", "variant", "us"]]
    for block, variant, cost in facts.itertuples(index=False):
        detail = f"{variant}: a new page took {cost:.1f} µs of system CPU, over {PAGE_US} µs"
        yield Suspect("pages", machine, detail, int(block))
    for variant, cell in boots.groupby("variant", sort=False):
        worst = (cell["host_rss_peak_bytes"] / cell["host_memory_bytes"]).max()
        if not pd.isna(worst) and worst > RSS_PART:
            detail = f"{variant}: QEMU took {worst:.0%} of the host's memory, over {RSS_PART:.0%}"
            yield Suspect("RSS", machine, detail)


def _nodes(phases: pd.DataFrame) -> Iterator[Suspect]:
    """Nodes whose pages cost more than those of the others in the same phase."""
    many = (phases["node"].notna() & (phases["pages"] >= NODE_PAGES)).fillna(False)
    mine = phases[many & phases["phase"].isin(PER_NODE)].dropna(subset=["ns_per_page"])
    for keys, cell in mine.groupby(["machine", "variant", "phase"], sort=False):
        machine, variant, phase = map(str, keys)
        nodes = {int(str(n)): float(c["ns_per_page"].median()) for n, c in cell.groupby("node")}
        for node, cost in nodes.items():
            others = [each for key, each in nodes.items() if key != node]
            if others and cost > NODE * float(np.median(others)):
                detail = f"{variant}: a page of node {node} took {cost:.0f} ns in {phase}"
                detail += f", of the others {np.median(others):.0f} ns"
                yield Suspect("node", machine, detail)
