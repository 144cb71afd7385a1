# SPDX-License-Identifier: GPL-2.0-only
"""The warnings of one tree: all that its patches touch is compiled, and what includes it.

What depends on a touched file is told by the dependencies that the kernel's own build keeps, so
that a header in mm/ renews what includes it and no more. The whole kernel is linked as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import cache as store
from harness import kbuild
from harness.kbuild import Job
from harness.results import write_atomic

Log = Callable[[str], None]


def new_warnings(job: Job, base: Job, cache: Path, *, jobs: int = 0, log: Log) -> tuple[str, ...]:
    """The warnings of a tree that its base does not have.

    Answered from the cache when known. Raises `BuildError` or `ConfigError`.
    """
    files = [change.file for change in job.source.repository.changes(base.tree, job.tree)]
    found = warnings(job, files, cache, jobs=jobs, log=log)
    # Nearly always there is none, and the base needs no build.
    return fresh(found, warnings(base, files, cache, jobs=jobs, log=log)) if found else ()


def fresh(found: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Those of `found` that `known` lacks, whatever line of the file they have moved to."""
    left = Counter(map(_anywhere, known))
    more = []
    for line in found:
        left[_anywhere(line)] -= 1
        if left[_anywhere(line)] < 0:
            more.append(line)
    return tuple(more)


def warnings(
    job: Job, files: Sequence[str], cache: Path, *, jobs: int = 0, log: Log
) -> tuple[str, ...]:
    """Every warning, once, of what depends on `files`; answered from the cache when known."""
    key = hashlib.sha256("\0".join([job.kernel_id, *files]).encode()).hexdigest()[:16]
    memory = cache / "warnings" / f"{key}.json"
    try:
        return tuple(json.loads(memory.read_bytes()))
    except (OSError, ValueError):
        pass
    work = cache / "work" / job.source.folder.name
    with (
        store.locked(work / ".lock", lambda: log("waiting for another build of this base")),
        store.disk_errors(work),
    ):
        found = _compile(job, files, work, jobs or os.cpu_count() or 1, log)
    write_atomic(memory, json.dumps(found, indent=1) + "\n")
    return found


def _compile(job: Job, files: Sequence[str], work: Path, jobs: int, log: Log) -> tuple[str, ...]:
    start = time.monotonic()
    # The bare base does not know the options that patches bring.
    out = kbuild.configure(job, work, strict=job.tree != job.source.tree)
    found: tuple[str, ...] = ()
    # The first time what differs from the tree before is compiled as well: look twice if need be.
    for _ in range(2):
        job.source.repository.renew(files, work / "linux", work / "index")
        kbuild.make(job, out, work.parents[1], jobs, log, start=start)
        lines = (out / "build.log").read_text(encoding="utf-8", errors="replace").splitlines()
        found = tuple(dict.fromkeys(line for line in lines if kbuild.WARNING.search(line)))
        if not found:
            break
    return found


def _anywhere(warning: str) -> str:
    """A warning without its line and column."""
    return re.sub(r":\d+(:\d+)?:", ":", warning, count=1)
