# SPDX-License-Identifier: GPL-2.0-only
"""What a block costs more on a host than here: in turns, same kernels."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from bench.figure import Figure, percent_more
from bench.setting import Setting
from harness.hosts.inventory import Inventory
from harness.model.experiment import Experiment
from harness.results.ledger import Ledger
from harness.run import loop
from harness.run.local import Executor, Local
from harness.run.loop import RunOptions
from harness.run.session import Session, prepare
from harness.ssh import KnownHosts
from tests.support.sshd import BINARY, Lab

log = logging.getLogger(__name__)

VARIANTS = ("eager", "deferred", "on-demand", "zero-check", "grow", "lazy")
MACHINE = "quad-16g"
ROUNDS, FULL_ROUNDS = 8, 24
AIM_PERCENT = 3.0
HOST = "loopback"


@dataclass(frozen=True)
class Cost:
    """Seconds of a block: from the first line of the ledger to the last, and of its boots alone."""

    whole: float
    boots: float

    @property
    def around(self) -> float:
        """What is no boot."""
        return self.whole - self.boots


def measure(setting: Setting) -> Iterator[Figure]:
    """A block of six boots, from the first line of the ledger about it to the last."""
    if not BINARY or not find_spec("distributed"):
        lacking = "distributed (Dask) is not installed" if BINARY else "no sshd here"
        yield Figure("hosts", "%", below=AIM_PERCENT, note=lacking)
        return
    from harness.hosts.cluster import SSHHosts
    from harness.hosts.executor import Hosts

    session = _session(setting)
    lab = Lab(setting.scratch)
    try:
        lab.serve(HOST, memory="4GiB", cores=2, python=sys.executable, fake=False)
        inventory = Inventory.load(lab.file)
        source = SSHHosts(inventory, KnownHosts([lab.known]))
        ways: dict[str, Executor] = {"local": Local(), "ssh": Hosts(source)}
        spent: dict[str, list[Cost]] = {name: [] for name in ways}
        rounds = FULL_ROUNDS if setting.full else ROUNDS
        for number in range(rounds):
            order = list(ways)[:: -1 if number % 2 else 1]
            for name in order:
                log.info(f"hosts: round {number + 1} of {rounds}, {name}")
                folder = setting.scratch / f"{name}-{number}"
                spent[name].append(_block(session, folder, ways[name]))
    finally:
        lab.stop()
    note = f"a block of {len(VARIANTS)} boots of {MACHINE}, {session.environment.accel}"
    here = spent.pop("local")
    yield Figure("hosts: a block here", "s", tuple(cost.whole for cost in here), note=note)
    pairs = list(zip(here, spent["ssh"], strict=True))
    whole = percent_more([(a.whole, b.whole) for a, b in pairs])
    around = tuple(100 * (b.around - a.around) / a.whole for a, b in pairs)
    yield Figure("hosts: more over SSH", "%", whole, below=AIM_PERCENT, note=note)
    yield Figure("hosts: more around boots over SSH", "%", around, AIM_PERCENT, note=note)


def _session(setting: Setting) -> Session:
    group = {
        "variants": VARIANTS,
        "machines": [MACHINE],
        "clocks": {"time": {"blocks": 1, "warmup": 0}},
        "probes": {"run": ["meminfo", "touch"], "touch_bytes": "64MiB", "touch_threads": 2},
    }
    experiment = Experiment.parse(
        {"name": "hosts", "description": "d", "baseline": "eager", "matrix": [group]}, "hosts"
    )
    return prepare(setting.project, experiment)


def _block(session: Session, folder: Path, executor: Executor) -> Cost:
    options = RunOptions(folder)
    results = loop.open_results(session, options)
    with results.locked():
        failed = loop.run(session, results, options, lambda event: None, executor)
    assert not failed
    stamps = [datetime.fromisoformat(entry.at_utc) for entry in Ledger(results.path).read()[0]]
    boots = sum(stored.run.ending.wall_s for stored in results.read()[0])
    return Cost((max(stamps) - min(stamps)).total_seconds(), boots)
