# SPDX-License-Identifier: GPL-2.0-only
"""What the correctness gate said of a kernel: whether the numbers of a variant count.

A verdict belongs to source, fragments and boot parameters, not to a name: a series that has changed
since, or a parameter that is gone, has none. The toolchain is no part of it, since the gate proves
the source and each host builds its own kernel. So verdicts lie beside the store of kernels, in
``gate/<hash of the three>.json`` of the cache, and stay when a kernel is built anew.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from harness.errors import HarnessError
from harness.files import write_atomic
from harness.model import LOCK_FILE, GateStatus, Kernel, Lockfile, Model, Variant
from harness.project import Project
from harness.results import to_json

GateMark = Literal["green", "failed", "none"]

FOLDER = "gate"
_BUILDS = frozenset({"measured", "debug"})


class Proved(Model):
    """What a verdict is about; its hash names the file."""

    source: str
    """git tree id of the patched source; of a prebuilt kernel the hash of its image"""
    fragments: tuple[str, ...]
    boot: tuple[str, ...]

    @classmethod
    def of(cls, variant: Variant, kernel: Kernel | str | None) -> Proved | None:
        """None for a kernel that did not build: it has no proof, and matches none."""
        source = kernel.tree or kernel.image_sha256 if isinstance(kernel, Kernel) else None
        names = tuple(sorted(set(variant.fragments)))
        return cls(source=source, fragments=names, boot=variant.boot) if source else None

    def file(self, cache: Path) -> Path:
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return cache / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


class KeptStatus(Model):
    """One file of the cache."""

    standing: GateStatus
    about: Proved


def keep_status(cache: Path, variant: Variant, kernel: Kernel | str, standing: GateMark) -> None:
    """Keeps what the gate says of a kernel now, in the place of what it said before."""
    about = Proved.of(variant, kernel)
    if about and standing != "none":
        write_atomic(about.file(cache), to_json(KeptStatus(standing=standing, about=about)))


def known(
    project: Project, variants: Mapping[str, Variant], kernels: Mapping[str, Kernel | str]
) -> dict[str, GateStatus]:
    """What gates said of these kernels: here, else where the checkout brings a gate's results."""
    wanted = {name: Proved.of(variants[name], kernels.get(name)) for name in variants}
    found = {about: _kept(about.file(project.cache)) for about in wanted.values() if about}
    if None in found.values():
        shipped = dict(_shipped(project.root))
        found = {about: standing or shipped.get(about) for about, standing in found.items()}
    told = {name: found[about] for name, about in wanted.items() if about}
    return {name: standing for name, standing in told.items() if standing}


def _kept(file: Path) -> GateStatus | None:
    try:
        return KeptStatus.model_validate_json(file.read_bytes()).standing
    except (OSError, ValueError):
        return None


def _shipped(root: Path) -> Iterator[tuple[Proved, GateStatus]]:
    """Every kernel that went through a gate of results/reference; none of one that is damaged."""
    for path in sorted(root.glob("results/reference/gate*/gate.csv")):
        file = path.with_name(LOCK_FILE)
        try:
            lock = Lockfile.read(file)
            rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
            for name in dict.fromkeys(row["variant"] for row in rows):
                about, standing = (
                    Proved.of(lock.variants[name], lock.kernels[name]),
                    gate_verdict(rows, name),
                )
                if about and standing != "none":
                    yield about, standing
        except (HarnessError, OSError, ValueError, KeyError):
            continue


def gate_verdict(rows: Iterable[Mapping[str, str]], variant: str) -> GateMark:
    """Green where both builds were judged and no check failed."""
    mine = [row for row in rows if row["variant"] == variant]
    if any(row["result"] == "fail" for row in mine):
        return "failed"
    return "green" if {row["build"] for row in mine} >= _BUILDS else "none"
