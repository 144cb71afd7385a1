# SPDX-License-Identifier: GPL-2.0-only
"""What `import harness` offers: functions with plain arguments, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from harness.compare import Comparison
    from harness.dataset import Dataset
    from harness.model import Clock, Experiment, Run
    from harness.parse import BootReport
    from harness.project import Project
    from harness.run import Executor


def load(path: Path | str) -> Dataset:
    """The dataset in a results folder, from its CSVs.

    Its tables are DataFrames: `runs` has a row for each boot, failed ones too, `phases` one for
    each phase of each boot, `summary` the medians of each cell; `describe` says what every column
    means and in which unit it is. `lock` is what the experiment resolved to. Raises `ResultsError`
    where the folder has no dataset, or one that was altered since it was written.
    """
    from harness.dataset import dataset

    return dataset.load(path)


def describe(table: str) -> pd.DataFrame:
    """What the columns of a table mean: a row for each, with type, unit and meaning.

    `table` is the stem of a CSV, as "phases". Raises `UserError` for another name.
    """
    from harness.dataset import dataset

    return dataset.describe(table)


def parse_log(data: bytes) -> BootReport:
    """What any Linux boot log says: outcome, reason, version, phases; of any bytes, none raise.

    `data` is a serial console, or what dmesg or a journal printed. Phases have seconds.
    """
    from harness.parse import parse_log as parse

    return parse(data)


def compare_variants(
    dataset: Dataset,
    baseline: str | None = None,
    metrics: Sequence[str] = (),
    *,
    against: Dataset | None = None,
) -> Comparison:
    """Each variant against the baseline, block by block; or against itself in another dataset.

    The baseline is that of the experiment, where none is named; without `metrics` all are compared.
    Seconds, bytes of host memory and instructions each have their own tests, see
    docs/measuring.md. Raises `UserError` for a baseline that the dataset has not.
    """
    from harness.compare import CompareOptions
    from harness.compare import compare_variants as compare

    return compare(dataset, CompareOptions(baseline, tuple(metrics)), against)


def boot_once(
    project: Project,
    variant: str,
    machine: str,
    clock: Clock = "time",
    *,
    append: Sequence[str] = (),
    image: str | None = None,
    base: str | None = None,
    probes: Sequence[str] | None = None,
    keep: Path | None = None,
    force: bool = False,
) -> Run:
    """One boot, its kernel built before if need be; the record says how it ended.

    `append` are more words for the kernel's command line, `image` the disk of a distribution that
    boots in place of the harness's own user space, `base` the kernel source by its name in
    kernel-patches/bases/, if that is not the default one. `probes` are the programs of the guest,
    if not those of every experiment: none leaves out the touch of memory, which may take longer
    than the boot. The evidence stays in `keep`, an empty
    folder; without one nothing is left on disk. `force` boots what is predicted not to fit. A boot
    that goes wrong is an outcome, no exception. Raises `UserError` for names that are not there,
    `HostError` where this host lacks something.
    """
    from harness.files import scratch
    from harness.results import Results
    from harness.run import loop, prepare

    more: dict[str, Any] = {"append": append, "image": image, "base": base, "probes": probes}
    asked = loop.single(project, variant, machine, clock, **more)
    session = prepare(project, asked)
    with scratch() as folder:
        (slot,) = session.experiment.schedule()
        return loop.boot_once(session, Results(keep or folder), slot, force)


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
