# SPDX-License-Identifier: GPL-2.0-only
"""What the N-th kernel of a base costs against the first one.

Kernels are built in a cache of the bench's own: what it lends from the real one is the source and,
unless a first build is asked for, the work tree. No object comes out of ccache: a hit would be the
time of a copy, not of a build.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.figure import Figure
from bench.setting import Setting
from harness.kernel.build import Effort
from harness.kernel.store import Kernels

FIRST, NEXT = "deferred", "grow"
"""Two variants of one configuration; they differ in files of mm/ alone."""

ROUNDS = 3
AIM_PERCENT = 8.0


def measure(setting: Setting) -> Iterator[Figure]:
    """Switches between two variants; against a first build made here, or against its record."""
    real = setting.project.cache
    work = real / "work"
    if not (real / "sources").is_dir() or not (setting.full or work.is_dir()):
        yield Figure("build", "", note="no kernel was built here yet; --full builds one")
        return
    own = setting.scratch / "cache"
    own.mkdir()
    (own / "sources").symlink_to(real / "sources")
    if not setting.full:
        (own / "work").symlink_to(work)
    os.environ["CCACHE_RECACHE"] = "1"
    kernels = Kernels(replace(setting.project, cache=own))
    # Asks the package archive for the newest base: not a part of a build.
    assert kernels.base
    start = time.monotonic()
    effort = _build(kernels, FIRST, own)
    seconds = time.monotonic() - start
    if setting.full:
        note = f"{effort.objects} objects, {effort.jobs} jobs, nothing cached"
    else:
        recorded = _first_build(real)
        seconds = recorded.seconds if recorded else 0.0
        note = f"{recorded.objects} objects, {recorded.jobs} jobs; as recorded" if recorded else ""
    yield from _figures(_switches(kernels, own), seconds, note)


def _figures(switches: list[tuple[float, Effort]], first: float, note: str) -> Iterator[Figure]:
    seconds = tuple(spent for spent, _ in switches)
    objects = sorted({effort.objects for _, effort in switches})
    told = f"{FIRST} and {NEXT} in turns; objects compiled: {', '.join(map(str, objects))}"
    yield Figure("build: next variant", "s", seconds, note=told)
    if not first:
        note = "the store has no record of a first build; --full makes one"
        yield Figure("build: next variant", "% of first", below=AIM_PERCENT, note=note)
        return
    yield Figure("build: first", "s", (first,), note=note)
    shares = tuple(100 * spent / first for spent in seconds)
    yield Figure("build: next variant", "% of first", shares, below=AIM_PERCENT)


def _switches(kernels: Kernels, cache: Path) -> list[tuple[float, Effort]]:
    """Each variant after the other, from the call to the kernel in the store."""
    found = []
    for name in (NEXT, FIRST) * ROUNDS:
        start = time.monotonic()
        effort = _build(kernels, name, cache)
        found.append((time.monotonic() - start, effort))
    return found


def _build(kernels: Kernels, variant: str, cache: Path) -> Effort:
    """Builds a variant that the store does not have, because it forgets it again at once."""
    built = kernels.get(kernels.project.variant(variant))
    effort = Effort.read(built.image.parent)
    shutil.rmtree(built.image.parent)
    assert effort
    return effort


def _first_build(cache: Path) -> Effort | None:
    """The first build that the store remembers, if ccache had no part in it."""
    efforts = (Effort.read(path) for path in cache.glob("kernels/*"))
    honest = [e for e in efforts if e and e.fresh and e.reused < e.objects / 100]
    return max(honest, key=lambda effort: effort.objects, default=None)
