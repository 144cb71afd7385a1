# SPDX-License-Identifier: GPL-2.0-only
"""The simulated fleet once more, but its hosts boot: each boot is a fake QEMU that is really run.

What a host does is done in processes beside the controller, whose own share is counted apart.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from bench.figure import Figure
from bench.fleet import HOSTS, boot_all, terms
from bench.setting import Setting
from harness.hosts.passage import incoming, take_in
from harness.hosts.remote import Remote, Rounds
from harness.hosts.roster import Attempt
from harness.model.run import Run
from harness.model.schedule import Slot
from harness.project import Project
from harness.results.folder import Results
from harness.results.ledger import Fate, Ledger
from harness.run import loop
from harness.run.local import Job
from harness.run.session import Session, prepare
from tests.support.checkout import lay_checkout

BLOCKS, FULL_BLOCKS = 200, 20_000
AT_ONCE = 8
"""Boots on this machine: most of one is a wait for the fake QEMU."""


@dataclass(frozen=True)
class Hosts(Remote):
    """Every block is booted by one of the processes, whichever host it goes to."""

    pool: ProcessPoolExecutor | None = None

    def rounds(self, job: Job) -> Rounds:
        """All else is as for real hosts."""
        return Booting(self, job)


class Booting(Rounds):
    """The way there and back is a pipe, and a folder that moves."""

    def carry(self, attempt: Attempt) -> list[Run]:
        """What a worker does on a host, somewhere beside us."""
        block, folder = attempt.block, incoming(self.job, attempt)
        assert isinstance(self._remote, Hosts) and self._remote.pool
        self._remote.pool.submit(boot, folder, block.slots).result()
        return take_in(self.job, block, folder)


SESSION: list[Session] = []


def begin(session: Session) -> None:
    """In a process of the pool: it is a host of its own, so that nobody waits for its turn."""
    cache = session.project.cache / f"host-{os.getpid()}"
    SESSION.append(replace(session, project=Project(session.project.root, cache)))


def boot(folder: Path, slots: tuple[Slot, ...]) -> None:
    """Boots a block as `harness.worker` does; its runs alone come back."""
    there = Results(folder.with_name(folder.name + ".there"))
    with there.locked():
        loop.execute(SESSION[0], there, loop.RunOptions(there.path), slots)
    folder.mkdir()
    (there.path / "runs").rename(folder / "runs")
    shutil.rmtree(there.path)


def measure(setting: Setting) -> Iterator[Figure]:
    """What the controller took of this machine for each block, its memory, and to go on."""
    count = FULL_BLOCKS if setting.full else BLOCKS
    root = setting.scratch / "fakes/checkout"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in lay_checkout(root).items():
            patch.setenv(name, value)
        session = make_session(root, count, setting)
        results = Results(setting.scratch / "fakes/results")
        with ProcessPoolExecutor(
            AT_ONCE, get_context("forkserver"), initializer=begin, initargs=(session,)
        ) as pool:
            setting.log(f"fakes: {count} blocks of two fake boots on {HOSTS} simulated hosts")
            executor = Hosts(*terms(), pool=pool)
            before, start = seconds(), time.monotonic()
            boot_all(session, results, executor)
            took, whole = seconds() - before, time.monotonic() - start
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            check(results, count)
            start = time.monotonic()
            boot_all(session, results, executor)
            again = time.monotonic() - start
    note = f"{count} blocks of two boots of the fake QEMU, on {HOSTS} simulated hosts"
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
    return prepare(project, project.experiment(file), setting.log)
