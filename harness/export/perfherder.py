# SPDX-License-Identifier: GPL-2.0-only
"""A performance artifact of Treeherder: a suite for each cell, a subtest for each figure.

https://github.com/mozilla/treeherder/blob/master/schemas/performance-artifact.json. Times are in
ms, as its own are. A suite has no value of its own: phases overlap, and no mean of them means
anything.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from harness.dataset import Dataset
from harness.export.figures import Figure, boots, figures, in_seconds, memory

log = logging.getLogger(__name__)

FRAMEWORK = "pageinit"
LARGEST = 1e12
"""What the schema takes as a value."""


def export(dataset: Dataset) -> bytes:
    """One artifact; what is larger than the schema takes is left out, and named in the log."""
    suites: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for cell in boots(dataset):
        about = {"name": "failed boots", "value": cell.failed, "unit": "boots"}
        suites[cell.variant, cell.machine, cell.clock] = [about | {"lowerIsBetter": True}]
    for figure in figures(dataset):
        subject = figure.subject
        subtest = _subtest(figure)
        if subtest["value"] > LARGEST:
            log.warning(f"{figure.variant} on {subject.machine}: {figure.name} is beyond 1e12")
            continue
        suites.setdefault((figure.variant, subject.machine, subject.clock), []).append(subtest)
    artifact = {
        "framework": {"name": FRAMEWORK},
        "suites": [
            {
                "name": f"{machine} {variant}",
                "extraOptions": [f"{clock}-clock"],
                "lowerIsBetter": True,
                "subtests": subtests,
            }
            for (variant, machine, clock), subtests in suites.items()
        ],
    }
    return (json.dumps(artifact, indent=1) + "\n").encode()


def _subtest(figure: Figure) -> dict[str, Any]:
    seconds, per = in_seconds(figure.subject.metric), figure.subject.metric.endswith("_per_page")
    scale = 1.0
    if memory(figure.subject.metric):
        unit = "bytes"
    elif seconds is None:
        unit = "instructions"
    elif per:
        unit, scale = "ns", 1e9 * seconds
    else:
        unit, scale = "ms", 1e3 * seconds
    return {
        "name": figure.name,
        "value": figure.median * scale,
        "replicates": [float(value) * scale for value in figure.series.values],
        "unit": f"{unit}/page" if per else unit,
        "lowerIsBetter": True,
    }
