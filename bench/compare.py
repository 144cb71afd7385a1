# SPDX-License-Identifier: GPL-2.0-only
"""How long it takes to compare the dataset of many runs: the whole command, on its CSVs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from bench.child import cost
from bench.collate import RUNS
from bench.figure import Figure
from bench.setting import Setting
from harness.dataset import dataset
from harness.dataset.dataset import OBSERVED, Dataset
from harness.files import write_atomic
from harness.model.lockfile import LOCK_FILE

log = logging.getLogger(__name__)

ROUNDS = 5
AIM_S = 30.0


def measure(setting: Setting) -> Iterator[Figure]:
    """``harness compare``, from the start of Python to the last line."""
    if setting.sample is None:
        yield Figure("compare", "s", below=AIM_S, note="no real runs here; name some with --sample")
        return
    log.info(f"compare: making {RUNS} runs")
    folder = setting.scratch / "compared"
    count = multiply(setting.sample, folder, RUNS)
    costs = []
    for number in range(ROUNDS):
        log.info(f"compare: round {number + 1} of {ROUNDS}")
        costs.append(cost("compare", str(folder)))
    note = f"{count} runs, every phase, variant and machine"
    spent = tuple(each.seconds for each in costs)
    yield Figure("compare: harness compare", "s", spent, below=AIM_S, note=note)
    most = tuple(each.mib for each in costs)
    yield Figure("compare: memory of the largest process", "MiB", most)


def multiply(sample: Path, folder: Path, count: int) -> int:
    """Writes the tables of some `count` runs: those of `sample` again and again, in other blocks.

    Their figures are the same in each repetition, which the tests of a rank have to sort all the
    same. Answers the number of runs.
    """
    tables = dataset.load_tables(sample)
    runs = tables["runs"][~tables["runs"]["warmup"]]
    copies, blocks = max(1, count // len(runs)), 1 + int(runs["block"].max())
    many = {}
    for name in OBSERVED:
        one = tables[name][~tables[name]["warmup"]]
        many[name] = pd.concat(
            [
                one.assign(block=one["block"] + n * blocks, run_id=one["run_id"] + f"-{n}")
                for n in range(copies)
            ],
            ignore_index=True,
        )
    (folder / "runs").mkdir(parents=True)
    dataset.write(Dataset.of({**tables, **many}), folder)
    write_atomic(folder / LOCK_FILE, (sample / LOCK_FILE).read_bytes())
    return len(many["runs"])
