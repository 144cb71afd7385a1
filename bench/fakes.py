# SPDX-License-Identifier: GPL-2.0-only
"""The simulated hosts once more, but that they boot: each boot is a fake QEMU that is really run.

What a host does is done in processes beside the controller, whose own share is counted apart.
"""

from __future__ import annotations

import logging
import resource
import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.figure import Figure
from bench.fleet import Simulated, boot_all
from bench.setting import Setting
from harness.hosts.block import boot_block
from harness.project import Project
from harness.results.folder import Results
from harness.results.ledger import Fate, Ledger
from harness.run.session import Session, prepare
from tests.support.checkout import lay_checkout

log = logging.getLogger(__name__)

BLOCKS, FULL_BLOCKS = 200, 2_000
AT_ONCE = 8
"""Boots on this machine: most of one is a wait for the fake QEMU."""


def measure(setting: Setting) -> Iterator[Figure]:
    """What the controller took of this machine for each block, its memory, and to go on."""
    if not find_spec("distributed"):
        yield Figure("fakes", "s", note="distributed (Dask) is not installed")
        return
    count = FULL_BLOCKS if setting.full else BLOCKS
    root = setting.scratch / "fakes/checkout"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in lay_checkout(root).items():
            patch.setenv(name, value)
        session = make_session(root, count, setting)
        results = Results(setting.scratch / "fakes/results")
        log.info(f"fakes: {count} blocks of two fake boots on {AT_ONCE} hosts")
        source = Simulated(setting.scratch, AT_ONCE, AT_ONCE)
        before, start = seconds(), time.monotonic()
        boot_all(session, results, source, boot_block)
        took, whole = seconds() - before, time.monotonic() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        check(results, count)
        start = time.monotonic()
        boot_all(session, results, Simulated(setting.scratch, hosts=0), boot_block)
        again = time.monotonic() - start
    note = f"{count} blocks of two boots of the fake QEMU, on {AT_ONCE} hosts"
    yield Figure("fakes: the whole of it", "s", (whole,), note=note)
    yield Figure("fakes: CPU of the controller for a block", "ms", (1000 * took / count,))
    yield Figure("fakes: memory of the controller at most", "MiB", (memory,))
    yield Figure("fakes: start with nothing left to do", "s", (again,))


def seconds() -> float:
    """CPU that this process has taken."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def check(results: Results, count: int) -> None:
    """Every block once, every boot once, and each of them a good one."""
    fates = [entry.fate for entry in Ledger(results.path).read()[0] if entry.fate]
    stored, damage = results.read()
    assert fates == [Fate.DONE] * count and not damage
    assert len({item.run.run_id for item in stored}) == len(stored) == 2 * count


def make_session(root: Path, count: int, setting: Setting) -> Session:
    """The experiment of the tests on two machines, with as many blocks as are wanted."""
    shutil.copy(root / "qemu-configs/small.yaml", root / "qemu-configs/other.yaml")
    file = root / "experiments/pair.yaml"
    text = file.read_text().replace("[small]", "[small, other]")
    file.write_text(text.replace("blocks: 2, warmup: 1", f"blocks: {count // 2}"))
    project = Project.find(root, root.parent / "cache")
    return prepare(project, project.experiment(file))
