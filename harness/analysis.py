# SPDX-License-Identifier: GPL-2.0-only
"""A dataset from disk, for analysts: `harness.load`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from harness import dataset
from harness.columns import TABLES
from harness.dataset import Dataset
from harness.lock import LOCK_FILE, Lock


def load(path: Path | str) -> Dataset:
    """Reads the CSVs of a results folder, each column with its type.

    The tables are attributes: `runs`, `phases`, `probes`, `summary`, `gate` and so on; `lock` has
    the experiment with its variants and machines, none where that file is missing. `describe` says
    what every column means and in which unit it is.
    """
    folder = Path(path)
    file = folder / LOCK_FILE
    lock = None
    if file.is_file():
        lock = Lock.from_yaml(file.read_bytes(), str(file))
    return Dataset.of(dataset.load(folder), lock)


def describe(table: str) -> pd.DataFrame:
    """Name, type, unit and meaning of each column of a table: of `runs`, `phases`, and so on."""
    about = [(c.name, c.type, c.unit or "", c.description) for c in TABLES[table]]
    return pd.DataFrame(about, columns=["column", "type", "unit", "meaning"]).set_index("column")
