# SPDX-License-Identifier: GPL-2.0-only
"""A dataset with a boot that failed, for each form to tell."""

import pytest

from harness.dataset import dataset as datasets
from tests.support.checkout import ROOT


@pytest.fixture(scope="session")
def quick():
    return datasets.load(ROOT / "results/reference/quick")


@pytest.fixture(scope="session")
def broken(quick):
    """The same where the last boot of eager panicked, in words of a hostile guest."""
    runs = quick.runs.copy()
    at = runs.index[(runs["variant"] == "eager") & (runs["clock"] == "time")][-1]
    runs.loc[at, ["outcome", "reason"]] = ["panic", 'evil "\\ \x00\x1b[2J\n# EOF']
    tables = {
        name: table[table["run_id"] != runs.loc[at, "run_id"]]
        for name, table in quick.tables().items()
        if name in ("phases", "probes", "stores")
    }
    return datasets.Dataset.of(quick.tables() | tables | {"runs": runs}, quick.lock)
