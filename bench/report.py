# SPDX-License-Identifier: GPL-2.0-only
"""How long it takes to make the report of many runs, and how large the page is."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench.collate import RUNS
from bench.compare import multiply
from bench.figure import Figure
from bench.setting import Setting
from harness.dataset import dataset
from harness.report import render
from harness.results.folder import Results

ROUNDS = 3
AIM_S, AIM_MB = 15.0, 3.0


def measure(setting: Setting) -> Iterator[Figure]:
    """Both reports from tables in memory; the single boots that they show are read from disk."""
    if setting.sample is None:
        yield Figure("report", "s", below=AIM_S, note="no real runs here; name some with --sample")
        return
    setting.log(f"report: making {RUNS} runs")
    folder = setting.scratch / "reported"
    count = multiply(setting.sample, folder, RUNS)
    found = dataset.load(folder)
    times, page = [], ""
    for number in range(ROUNDS):
        setting.log(f"report: round {number + 1} of {ROUNDS}")
        start = time.perf_counter()
        page, _ = render.render(Results(setting.sample), found)
        times.append(time.perf_counter() - start)
    note = f"{count} runs, with the comparison that it shows"
    yield Figure("report: HTML and Markdown", "s", tuple(times), below=AIM_S, note=note)
    size = len(page.encode()) / 1e6
    yield Figure("report: size of the page", "MB", (size,), below=AIM_MB, note=f"{count} runs")
