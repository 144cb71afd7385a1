# SPDX-License-Identifier: GPL-2.0-only
"""A report to KernelCI's database: a checkout for each tree, a build for each kernel, tests.

https://github.com/kernelci/kcidb-io, schema 5.3. A boot is a test that passes or fails, and what it
measured are tests that are done, each with its number. A boot that the host spoilt is an error; of
a kernel that does not build the build has failed, and its boots were missed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.dataset import Dataset
from harness.export.figures import Figure, figures, in_seconds, memory
from harness.model import GOOD, HOST_FAULT, Outcome

ORIGIN = "pageinit"
VERSION = {"major": 5, "minor": 3}
STATUS = {
    **dict.fromkeys(GOOD, "PASS"),
    Outcome.BUILD_FAILED: "MISS",
    **dict.fromkeys((*HOST_FAULT, Outcome.INCOMPLETE), "ERROR"),
}
"""Of a boot, by its outcome; any other has failed."""

_NO_PATH = re.compile(r"[^a-zA-Z0-9_-]+")

Entry = dict[str, Any]


def export(dataset: Dataset) -> bytes:
    """One report."""
    checkouts: dict[str, Entry] = {}
    builds: dict[str, Entry] = {}
    tests: list[Entry] = []
    measured = _by_boot(dataset)
    runs = dataset.runs[~dataset.runs["warmup"]]
    for record in runs.astype(object).where(runs.notna(), None).to_dict("records"):
        row = {str(key): value for key, value in record.items()}
        build = _build(dataset, row)
        checkouts.setdefault(build["checkout_id"], _checkout(dataset, row))
        builds.setdefault(build["id"], build)
        boot = _boot(row, build["id"])
        tests.append(boot)
        key = (row["variant"], row["machine"], row["clock"], row["block"])
        for figure, value in measured.get(key, ()):
            tests.append(_number(boot, figure, value))
    parts = {"checkouts": list(checkouts.values()), "builds": list(builds.values())}
    report = {"version": VERSION, **parts, "tests": tests}
    return (json.dumps(report, indent=1) + "\n").encode()


def _by_boot(dataset: Dataset) -> Mapping[tuple[str, str, str, int], list[tuple[Figure, float]]]:
    found: dict[tuple[str, str, str, int], list[tuple[Figure, float]]] = {}
    for figure in figures(dataset):
        for block, value in zip(figure.series.blocks, figure.series.values, strict=True):
            key = (figure.variant, figure.subject.machine, figure.subject.clock, int(block))
            found.setdefault(key, []).append((figure, float(value)))
    return found


def _id(*parts: str) -> str:
    return f"{ORIGIN}:{':'.join(parts)}"


def _tree(dataset: Dataset, row: Entry) -> str:
    return row["tree"] or f"{dataset.lock.hash if dataset.lock else ''}-{row['variant']}"


def _checkout(dataset: Dataset, row: Entry) -> Entry:
    series = _series(dataset, row["variant"])
    said = f"{row['base_version'] or 'a kernel'}, with {', '.join(series) or 'no series'}"
    about = {"tree": row["tree"], "base_version": row["base_version"], "series": series}
    return {
        "id": _id(_tree(dataset, row)),
        "origin": ORIGIN,
        "comment": said,
        "valid": True,
        "misc": _known(about),
    }


def _series(dataset: Dataset, variant: str) -> list[str]:
    known = dataset.lock.variants.get(variant) if dataset.lock else None
    return list(known.series) if known else []


def _build(dataset: Dataset, row: Entry) -> Entry:
    failed = row["kernel_id"] is None
    name = f"failed-{_tree(dataset, row)}" if failed else str(row["kernel_id"])
    about = {key: row[key] for key in ("config_sha256", "image_sha256")}
    entry = {
        "id": _id(name),
        "checkout_id": _id(_tree(dataset, row)),
        "origin": ORIGIN,
        "architecture": "x86_64",
        "compiler": row["toolchain"],
        "config_name": row["variant"],
        "status": "FAIL" if failed else "PASS",
        "log_excerpt": row["reason"] if failed else None,
    }
    return _known(entry) | {"misc": _known(about)}


def _boot(row: Entry, build: str) -> Entry:
    keys = ("variant", "machine", "clock", "block", "outcome", "last_phase", "gate")
    host = {key: row[key] for key in ("accel", "qemu_version", "host_kernel", "host_cpu")}
    entry = {
        "id": _id(str(row["run_id"])),
        "build_id": build,
        "origin": ORIGIN,
        "path": "boot",
        "status": STATUS.get(Outcome(row["outcome"]), "FAIL"),
        "comment": row["reason"],
        "start_time": row["started_utc"],
        "duration": row["wall_s"],
        "environment": {"comment": f"QEMU, machine {row['machine']}", "misc": _known(host)},
    }
    return _known(entry) | {"misc": _known({key: row[key] for key in keys})}


def _number(boot: Entry, figure: Figure, value: float) -> Entry:
    keys = ("variant", "machine", "clock", "block")
    name = _NO_PATH.sub("_", figure.name)
    number: Entry = {"value": value, "unit": "instructions"}
    seconds = in_seconds(figure.subject.metric)
    if memory(figure.subject.metric):
        number = {"value": value, "unit": "B", "prefix": "binary"}
    elif seconds is not None:
        number = {"value": value * seconds, "unit": "s", "prefix": "metric"}
    if figure.subject.metric.endswith("_per_page"):
        number["unit"] += "/page"
    return {
        "id": f"{boot['id']}:{name}",
        "build_id": boot["build_id"],
        "origin": ORIGIN,
        "path": f"pageinit.{name}",
        "status": "DONE",
        "number": number,
        "environment": boot["environment"],
        "misc": {key: boot["misc"][key] for key in keys},
    }


def _known(entry: Entry) -> Entry:
    """What was observed, without what JSON or the schema have no place for."""
    return {
        key: value.replace("\0", "") if isinstance(value, str) else value
        for key, value in entry.items()
        if value is not None and not (isinstance(value, float) and pd.isna(value))
    }
