# SPDX-License-Identifier: GPL-2.0-only
"""What the correctness gate said of a kernel: whether the numbers of a variant count.

A proof belongs to source, fragments and boot parameters, not to a name: a series that has changed
since, or a parameter that is gone, has none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import yaml

from harness.errors import HarnessError
from harness.model import Kernel, Lockfile, Variant

GateStatus = Literal["green", "failed", "none"]

MARKS: dict[GateStatus, str] = {"green": "", "failed": " ✗", "none": " †"}
"""What stands behind the name of a variant wherever its numbers are shown."""

MEANING: dict[GateStatus, str] = {
    "failed": "✗: this very kernel FAILED the correctness gate; its numbers are no result.",
    "none": "†: this very kernel has not been through the correctness gate; its numbers may be"
    " the gain of a lost page.",
}

_GATE = "gate"
_BUILDS = frozenset({"measured", "debug"})

Key = tuple[str | None, frozenset[str], tuple[str, ...]]


def statuses(folder: Path, lock: Lockfile | None) -> dict[str, GateStatus]:
    """Variant to standing, for a results folder; "none" for what no gate near it has seen.

    A gate is near where it lies in ``gate*/`` or ``reference/gate*/`` beside the folder or above.
    The nearest that knows a kernel decides, of those in one place the newest.
    """
    if lock is None:
        return {}
    wanted = {name: _key(lock.variants[name], lock.kernels.get(name)) for name in lock.variants}
    found: dict[Key, GateStatus] = {}
    for place in gates(folder):
        if found.keys() >= set(wanted.values()):
            break
        for key, standing in _read(place):
            found.setdefault(key, standing)
    return {name: found.get(key, "none") for name, key in wanted.items()}


def gates(folder: Path) -> Iterator[Path]:
    """Folders with a gate's results, the nearest and newest first."""
    for parent in folder.resolve().parents:
        for root in (*_gates_in(parent), *_gates_in(parent / "reference")):
            if (root / "gate.csv").is_file():
                yield root
            yield from sorted((p.parent for p in root.glob("2*/gate.csv")), reverse=True)
        if (parent / "pyproject.toml").is_file():
            return


def _gates_in(parent: Path) -> list[Path]:
    """Where gates were written to: ``gate``, and ``gate-NAME`` for a part of the variants."""
    return sorted(parent.glob(f"{_GATE}*"))


def _read(place: Path) -> list[tuple[Key, GateStatus]]:
    """Every kernel that went through this gate; nothing where the folder cannot be read."""
    path = place / "experiment.lock.yaml"
    try:
        lock = Lockfile.from_yaml(path.read_bytes(), str(path))
        with (place / "gate.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = dict.fromkeys(row["variant"] for row in rows)
        return [(_key(lock.variants[n], lock.kernels[n]), verdict(rows, n)) for n in names]
    except (HarnessError, OSError, ValueError, KeyError, yaml.YAMLError):
        return []


def verdict(rows: Iterable[dict[str, str]], variant: str) -> GateStatus:
    """Green where both builds were judged and no check failed."""
    mine = [row for row in rows if row["variant"] == variant]
    if any(row["result"] == "fail" for row in mine):
        return "failed"
    return "green" if {row["build"] for row in mine} >= _BUILDS else "none"


def _key(variant: Variant, kernel: Kernel | str | None) -> Key:
    """Not the toolchain: the gate proves the source, and each host builds its own kernel."""
    source = None
    if isinstance(kernel, Kernel):
        source = kernel.tree or kernel.image_sha256
    # A kernel that did not build has no proof, and matches none.
    return source or f"unbuilt {variant.name}", frozenset(variant.fragments), variant.boot
