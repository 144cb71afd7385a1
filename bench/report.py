# SPDX-License-Identifier: GPL-2.0-only
"""How long it takes to make the report of many runs and of a dataset, and how large the page is."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future
from unittest import mock

from markupsafe import Markup

from bench.collate import RUNS
from bench.compare import multiply
from bench.figure import Figure
from bench.setting import Setting
from harness.dataset import dataset
from harness.dataset.dataset import Dataset
from harness.report import charts, render, vega
from harness.results.folder import Results

log = logging.getLogger(__name__)

ROUNDS = 3
AIM_S, AIM_MB = 30.0, 3.0
AIM_RATIO = 3.0


def measure(setting: Setting) -> Iterator[Figure]:
    """Both reports from tables in memory; the single boots that they show are read from disk."""
    if setting.sample is None:
        yield Figure("report", "s", below=AIM_S, note="no real runs here; name some with --sample")
        return
    log.info(f"report: making {RUNS} runs")
    folder = setting.scratch / "reported"
    count = multiply(setting.sample, folder, RUNS)
    found, results = dataset.load(folder), Results(setting.sample)
    vega.library()  # kept in the cache folder: made once on a host
    times, sizes = _reports(setting, results, found)
    note = f"{count} runs, with the comparison that it shows"
    yield Figure("report: HTML and Markdown", "s", times, below=AIM_S, note=note)
    yield Figure("report: size of the page", "MB", sizes[:1], note=f"{count} runs")
    sample = dataset.load(setting.sample)
    times, sizes = _reports(setting, results, sample)
    bare = _bare(setting, results, sample)
    ratios = tuple(a / b for a, b in zip(times, bare, strict=True))
    name = setting.sample.name
    yield Figure(f"report of {name}", "s", times, note=f"{len(sample.runs)} runs")
    note = "with its charts to without"
    yield Figure(f"report of {name}: its charts", "ratio", ratios, below=AIM_RATIO, note=note)
    yield Figure(f"report of {name}: size of the page", "MB", sizes[:1], below=AIM_MB)


def _reports(
    setting: Setting, results: Results, found: Dataset
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds and megabytes of each round."""
    times, sizes = [], []
    for number in range(ROUNDS):
        log.info(f"report: round {number + 1} of {ROUNDS}")
        start = time.perf_counter()
        page, _ = render.render(results, found)
        times.append(time.perf_counter() - start)
        sizes.append(len(page.encode()) / 1e6)
    return tuple(times), tuple(sizes)


def _bare(setting: Setting, results: Results, found: Dataset) -> tuple[float, ...]:
    """Seconds of each round where no chart is made and none is drawn."""
    blank: Future[Markup] = Future()
    blank.set_result(Markup())
    with contextlib.ExitStack() as stack:
        for chart in ("stacked", "against_memory", "over_boot", "every_boot", "changes"):
            stack.enter_context(mock.patch.object(charts, chart, return_value={}))
        stack.enter_context(mock.patch.object(vega.Painter, "draw", return_value=blank))
        return _reports(setting, results, found)[0]
