# SPDX-License-Identifier: GPL-2.0-only
"""Old evidence and reports of nights are removed, by age and by size; the history never is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.results import Results

BOOTS, REPORTS = "boots", "reports"
PARTS = (BOOTS, REPORTS)
"""Folders of a nightly folder that hold one folder a night; nothing beside them is looked at."""

KEPT = 2
"""Nights that stay whatever they take: tonight's, and the one it is compared with."""


@dataclass(frozen=True)
class Leaf:
    """What one night left in one of the parts."""

    day: date
    path: Path
    size: int


def leaves(folder: Path) -> list[Leaf]:
    """What there is, oldest first; a folder whose name is no date is none of ours."""
    return sorted(_leaves(folder), key=lambda leaf: (leaf.day, leaf.path))


def _leaves(folder: Path) -> Iterator[Leaf]:
    for part in PARTS:
        for path in (folder / part).glob("*-*-*"):
            try:
                day = date.fromisoformat(path.name)
            except ValueError:
                continue
            if not path.is_symlink() and path.is_dir():
                files = (file for file in path.rglob("*") if not file.is_dir())
                yield Leaf(day, path, sum(file.lstat().st_size for file in files))


def choose(
    there: list[Leaf], today: date, days: int | None = None, size: int | None = None
) -> list[Leaf]:
    """What goes: all that is older than `days`, then the oldest until the rest fits `size`."""
    kept = set(sorted({leaf.day for leaf in there})[-KEPT:])
    gone, left = [], sum(leaf.size for leaf in there)
    for leaf in there:
        old = days is not None and (today - leaf.day).days > days
        large = size is not None and left > size
        if leaf.day not in kept and (old or large):
            gone.append(leaf)
            left -= leaf.size
    return gone


def prune(
    folder: Path, today: date, days: int | None = None, size: int | None = None
) -> tuple[list[Leaf], int]:
    """Chooses and removes with the folder's lock held; answers what went and the bytes left."""
    with Results(folder).locked():
        there = leaves(folder)
        chosen = choose(there, today, days, size)
        remove(chosen)
    return chosen, sum(leaf.size for leaf in there) - sum(leaf.size for leaf in chosen)


def remove(chosen: list[Leaf]) -> None:
    """Removes it; half of a folder that a crash leaves is taken by the next call."""
    for leaf in chosen:
        shutil.rmtree(leaf.path)
