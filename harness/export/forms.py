# SPDX-License-Identifier: GPL-2.0-only
"""Which forms there are, and what makes each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from harness.dataset import Dataset

FORMS = {
    "bmf": "Bencher Metric Format: `bencher run --adapter json`",
    "kcidb": "a report to KernelCI's database, as kcidb-io checks it",
    "openmetrics": "OpenMetrics text: Prometheus, and what reads its exposition",
    "parquet": "Apache Parquet, a row for each figure of each boot; needs pyarrow",
    "perfherder": "a performance artifact of Mozilla's Treeherder",
}
BINARY = frozenset({"parquet"})
"""What is no text for a terminal."""


def export(dataset: Dataset, form: str) -> bytes:
    """The dataset in one of `FORMS`.

    Raises `UserError` where the form needs a library that is not installed.
    """
    made = importlib.import_module(f"harness.export.{form}")
    return cast("Callable[[Dataset], bytes]", made.export)(dataset)
