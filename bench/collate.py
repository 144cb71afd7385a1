# SPDX-License-Identifier: GPL-2.0-only
"""How long it takes to make the dataset of many runs, from the raw logs and from the records."""

from __future__ import annotations

import hashlib
import itertools
import logging
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from bench.child import Cost, cost
from bench.figure import Figure
from bench.setting import Setting
from harness.dataset import dataset
from harness.errors import ResultsError
from harness.model.lockfile import LOCK_FILE
from harness.results.folder import RUN_FILE, Results, StoredRun

log = logging.getLogger(__name__)

RUNS = 20_000
ROUNDS = 3
AIM_S = 20.0


def measure(setting: Setting) -> Iterator[Figure]:
    """The command, which reads every log again, and the tables alone from what was read before."""
    if setting.sample is None:
        yield Figure("collate", "s", below=AIM_S, note="no real runs here; name some with --sample")
        return
    log.info(f"collate: making {RUNS} runs")
    folder = setting.scratch / "runs"
    sample = Results(setting.sample)
    size = multiply(sample, folder, RUNS)
    again: list[Cost] = []
    tables: list[float] = []
    for number in range(ROUNDS):
        log.info(f"collate: round {number + 1} of {ROUNDS}")
        again.append(cost("collate", str(folder), "--json"))
        tables.append(_tables(folder))
    cells = len({stored.folder.parent for stored in sample.read()[0]})
    note = f"{RUNS} runs of {cells} cells, {size >> 20} MiB of evidence"
    spent = tuple(each.seconds for each in again)
    yield Figure("collate: harness collate, logs parsed again", "s", spent, below=AIM_S, note=note)
    most = tuple(each.mib for each in again)
    yield Figure("collate: memory of the largest process", "MiB", most)
    told = "tables and CSV from run.json alone"
    yield Figure("collate: without the logs", "s", tuple(tables), below=AIM_S, note=told)


def reference(root: Path) -> Path | None:
    """The committed dataset with most runs."""
    found = list((root / "results" / "reference").glob("*/runs"))
    return max((p.parent for p in found), key=_count, default=None)


def _count(folder: Path) -> tuple[int, str]:
    return len(list(folder.glob(f"runs/*/*/*/*/{RUN_FILE}"))), folder.name


def multiply(sample: Results, folder: Path, count: int) -> int:
    """Writes `count` runs: those of `sample` again and again, each under a block of its own.

    Raw evidence is copied: a file with two names is not read. Answers its size in bytes.
    """
    stored = [item for item in sample.read()[0] if not item.run.warmup]
    if not stored:
        raise ResultsError("no run to multiply", where=str(sample.path))
    blocks = 1 + max(item.run.block for item in stored)
    folder.mkdir(parents=True)
    shutil.copyfile(sample.path / LOCK_FILE, folder / LOCK_FILE)
    sizes = 0
    for number, item in enumerate(itertools.islice(itertools.cycle(stored), count)):
        sizes += _copy(item, folder, number, number // len(stored) * blocks + item.run.block)
    return sizes


def _copy(item: StoredRun, folder: Path, number: int, block: int) -> int:
    run = item.run
    to = folder / "runs" / run.variant / run.machine / run.clock / f"{block:03d}"
    to.mkdir(parents=True)
    size = 0
    for file in item.folder.iterdir():
        size += file.stat().st_size
        if file.name != RUN_FILE:
            shutil.copyfile(file, to / file.name)
    run_id = hashlib.sha256(str(number).encode()).hexdigest()[:16]
    text = (item.folder / RUN_FILE).read_text(encoding="utf-8")
    text = text.replace(run.run_id, run_id, 1)
    (to / RUN_FILE).write_text(text.replace(f'"block": {run.block},', f'"block": {block},', 1))
    return size


def _tables(folder: Path) -> float:
    results = Results(folder)
    start = time.perf_counter()
    dataset.write(dataset.collate(results), folder)
    return time.perf_counter() - start
