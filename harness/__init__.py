# SPDX-License-Identifier: GPL-2.0-only
"""Boots patched Linux kernels on very large emulated NUMA machines and measures the boot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from harness.dataset import Dataset

__version__ = "0.1.0"


def load(path: Path | str) -> Dataset:
    """A dataset as pandas tables; see docs/analysis.md."""
    from harness import analysis  # pandas takes a third of a second

    return analysis.load(path)


def describe(table: str) -> pd.DataFrame:
    """What the columns of a table mean, and their units."""
    from harness import analysis

    return analysis.describe(table)
