# SPDX-License-Identifier: GPL-2.0-only
"""What `import harness` offers: functions with plain arguments, for notebooks and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from harness.dataset import Dataset
    from harness.model import Experiment
    from harness.project import Project
    from harness.run import Executor


def load(path: Path | str) -> Dataset:
    """A dataset as pandas tables; see docs/analysis.md."""
    from harness.dataset import dataset

    return dataset.load(path)


def describe(table: str) -> pd.DataFrame:
    """What the columns of a table mean, and their units."""
    from harness.dataset import dataset

    return dataset.describe(table)


def run_experiment(
    project: Project,
    experiment: Experiment,
    results: Path | str = "results",
    executor: Executor | None = None,
) -> Dataset:
    """Builds, boots what is missing, and writes dataset and report below the folder `results`.

    An experiment that was interrupted goes on. A boot that failed is a row of `runs`; what cannot
    be read is in `damage`. Boots happen on this host unless an executor has others. Raises
    `HarnessError` for wrong input, for what this host lacks, and for a folder that is in use.
    """
    from harness.report import publish
    from harness.run import RunOptions
    from harness.run import run_experiment as run

    ran = run(project, experiment, RunOptions(Path(results)), executor=executor)
    return publish(ran.results)
