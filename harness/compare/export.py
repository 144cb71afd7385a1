# SPDX-License-Identifier: GPL-2.0-only
"""A comparison as flat rows and plain data, for CSV and JSON. Pure.

One row for each question that was asked: a variant, a machine, a clock and a metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from harness.compare.compare import Comparison, Exact, Gap, Growth, Tested
from harness.compare.effect import Effect
from harness.compare.fit import SIZES
from harness.compare.series import Subject
from harness.compare.success import WORSE, Success
from harness.dataset import Column, Row
from harness.model import is_arm

COLUMNS = (
    Column("kind", "string", "time, memory: tested; A/A: the baseline once more; work: exact;"
           " boots: how many came to their end"),
    Column("machine", "string", "emulated machine; boots: all, where several are one test"),
    Column("clock", "string", "time: seconds under emulation; work: guest instructions"),
    Column("name", "string", "phase, pass of touch, host_rss_peak_bytes, or boots"),
    Column("source", "string", "profile or printk, where not marks tell a phase"),
    Column("metric", "string", "what base, value and difference are: a column of the dataset"),
    Column("variant", "string", "kernel under test"),
    Column("baseline", "string", "what it is compared with"),
    Column("n", "integer", "blocks that both have; without blocks in common, boots on the side"
           " with fewer; boots: boots of the variant"),
    Column("base", "number", "median of the baseline, or its count, in the unit of metric"),
    Column("value", "number", "the same of the variant"),
    Column("difference", "number", "of the variant from the baseline: median of the Walsh"
           " averages, or exact, in the unit of metric"),
    Column("ratio", "number", "variant over baseline: exp of the centre of the log-ratios, or"
           " exact"),
    Column("ratio_low", "number", "lower end of what `interval` says"),
    Column("ratio_high", "number", "upper end of it"),
    Column("interval", "string", "95 %; range: smallest and largest, of fewer than 6; A/A floor:"
           " the range, and to each side what one kernel differs by"),
    Column("test", "string", "sign-flip (exact), Wilcoxon, Mann-Whitney, A/A floor or Fisher;"
           " empty: exact"),
    Column("p", "number", "two-sided p of the test"),
    Column("adjusted_p", "number", "p after Benjamini-Hochberg within the family"),
    Column("verdict", "string", "faster, slower, less, more, equivalent, too small to matter here,"
           " inconclusive, cannot be compared (0, or waits); `, but fails` where the variant"
           " fails more often; work: identical, within the floor (of an A/A), changed; boots: all"
           " booted, does not boot, fails more, fails less, fails alike, not told apart"),
    Column("more_blocks", "integer", "blocks that would probably settle what is inconclusive;"
           " empty: more than 1000"),
    Column("why", "string", "why it is inconclusive"),
    Column("family", "string", "the tests that were adjusted together"),
)  # fmt: skip
"""The columns of the CSV that `harness compare --csv` prints."""


def rows(found: Comparison) -> list[Row]:
    """All questions with their answers, in the columns above."""
    tested = [_tested(t, family.name) for family in found.families for t in family.tests]
    return [
        *tested,
        *map(_exact, found.exact),
        *map(_success, found.success),
        *(_gap(gap) for gap in found.gaps if gap.left_out == gap.blocks),
    ]


def document(found: Comparison) -> dict[str, Any]:
    """Everything as JSON has it."""
    return {
        "baseline": found.baseline,
        "paired": found.paired,
        "options": asdict(found.options),
        "families": [family.name for family in found.families],
        "rows": [{k: v for k, v in row.items() if v is not None} for row in rows(found)],
        "defects": [asdict(defect) for defect in found.defects],
        "gaps": [asdict(gap) for gap in found.gaps],
        "growth": [_growth(growth) for growth in found.growth],
        "suspects": [asdict(suspect) for suspect in found.suspects],
    }


def regressions(found: Comparison) -> Iterator[Row]:
    """The rows that are worse: slower, more, boots that fail, also where those that do not are
    faster, and instructions by more than is of interest.

    A second arm is none; where it is out of bounds the dataset is suspect.
    """
    for row in rows(found):
        word = row["verdict"]
        worse = word in ("slower", "more", *WORSE) or word.endswith("but fails")
        worse |= word == "changed" and _grown(row, found.options.part)
        if worse and not is_arm(row["variant"]):
            yield row


def improvements(found: Comparison) -> Iterator[Row]:
    """The rows that are better, by the same measure, and whose boots do not fail more often."""
    for row in rows(found):
        word = row["verdict"]
        better = word in ("faster", "less", "fails less")
        better |= word == "changed" and _shrunk(row, found.options.part)
        if better and not is_arm(row["variant"]):
            yield row


def _grown(row: Row, part: float) -> bool:
    return bool(row["difference"] > part * row["base"])


def _shrunk(row: Row, part: float) -> bool:
    return bool(row["difference"] < -part * row["base"])


def _about(subject: Subject, variant: str, baseline: str) -> Row:
    about = asdict(subject) | {"source": subject.source or None}
    return {**about, "variant": variant, "baseline": baseline}


def _tested(tested: Tested, family: str) -> Row:
    effect, verdict = tested.effect, tested.verdict
    kinds = {"time clock": "time", "time clock, A/A": "A/A", "host memory": "memory"}
    return {
        "kind": kinds[family.partition(":")[0]],
        **_about(tested.subject, tested.variant, tested.baseline),
        "n": effect.n,
        "base": _tidy(tested.base_median),
        "value": _tidy(tested.median),
        "difference": _tidy(tested.difference),
        "ratio": _tidy(math.exp(effect.estimate)),
        "ratio_low": None if effect.low is None else _tidy(math.exp(effect.low)),
        "ratio_high": None if effect.high is None else _tidy(math.exp(effect.high)),
        "interval": None if effect.low is None else scope(effect),
        "test": effect.test,
        "p": None if effect.p is None else _tidy(effect.p),
        "adjusted_p": None if verdict.adjusted_p is None else _tidy(verdict.adjusted_p),
        "verdict": verdict.word,
        "more_blocks": verdict.more_blocks,
        "why": verdict.why or None,
        "family": family,
    }


def scope(effect: Effect) -> str:
    """What the ends of an effect are: 95 %, range or A/A floor."""
    if effect.test == "A/A floor":
        return "A/A floor"
    return "range" if effect.ranged else "95 %"


def _exact(exact: Exact) -> Row:
    return {
        "kind": "work",
        **_about(exact.subject, exact.variant, exact.baseline),
        "base": exact.base_count,
        "value": exact.count,
        "difference": exact.difference,
        "ratio": _tidy(exact.count / exact.base_count) if exact.base_count else None,
        "verdict": exact.word,
    }


def _success(success: Success) -> Row:
    return {
        "kind": "boots",
        "machine": success.machine,
        "clock": success.clock,
        "name": "boots",
        "metric": "share that came to its end",
        "variant": success.variant,
        "baseline": success.baseline,
        "n": success.boots,
        "base": _tidy(success.base_good / success.base_boots),
        "value": _tidy(success.good / success.boots),
        "test": None if success.p is None else "Fisher",
        "p": None if success.p is None else _tidy(success.p),
        "adjusted_p": None if success.adjusted_p is None else _tidy(success.adjusted_p),
        "verdict": success.word,
    }


def _gap(gap: Gap) -> Row:
    return {
        "kind": "time",
        **_about(gap.subject, gap.variant, gap.baseline),
        "n": 0,
        "verdict": "cannot be compared",
        "why": f"0 on one side in all {gap.blocks} blocks, so there is no ratio",
    }


def _growth(growth: Growth) -> Row:
    about = {key: getattr(growth, key) for key in ("clock", "name", "metric", "variant", "sizes")}
    if growth.waits:
        return about | {"fit": "not fitted: holds waits, which were not recorded apart"}
    if growth.line is None:
        return about | {"fit": f"not fitted: {growth.sizes} sizes, {SIZES} needed"}
    line = asdict(growth.line)
    misses = {str(size): _tidy(miss) for size, miss in line.pop("misses").items()}
    return (
        about
        | {"fit": "straight" if growth.line.straight else "not straight"}
        | {key: _tidy(value) if isinstance(value, float) else value for key, value in line.items()}
        | {"misses": misses}
    )


def _tidy(value: float) -> float:
    """Nine significant digits."""
    return float(f"{value:.9g}")
