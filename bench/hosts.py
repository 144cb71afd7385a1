# SPDX-License-Identifier: GPL-2.0-only
"""What a block costs more on a host than here, under each engine: in turns, same kernels."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from bench.figure import Figure, percent_more
from bench.setting import Setting
from harness import runner
from harness.executor import Executor, Local
from harness.experiment import Experiment
from harness.inventory import Inventory
from harness.ledger import Ledger
from harness.remote import Remote
from harness.runner import Options
from harness.session import Session, prepare
from harness.trust import Trust
from tests.sshd import BINARY, Lab

VARIANTS = ("eager", "deferred", "on-demand", "zero-check", "grow", "lazy")
MACHINE = "quad-16g"
ROUNDS = 8
AIM_PERCENT = 5.0
HOST = "loopback"


def measure(setting: Setting) -> Iterator[Figure]:
    """A block of six boots, from the first line of the ledger about it to the last."""
    if not BINARY:
        yield Figure("hosts", "%", below=AIM_PERCENT, note="no sshd here")
        return
    session = _session(setting)
    lab = Lab(setting.scratch)
    try:
        lab.serve(HOST, memory="4GiB", cores=2, python=sys.executable, fake=False)
        inventory = Inventory.load(lab.file)
        words = (inventory, Trust([lab.known]), lambda text: None)
        ways: dict[str, Executor] = {"local": Local(), "ssh": Remote(*words)}
        if find_spec("distributed"):
            from harness.lab import Lab as DaskLab

            ways["dask"] = DaskLab(*words)
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            order = list(ways)[:: -1 if number % 2 else 1]
            for name in order:
                setting.log(f"hosts: round {number + 1} of {ROUNDS}, {name}")
                folder = setting.scratch / f"{name}-{number}"
                spent[name].append(_block(session, folder, ways[name]))
    finally:
        lab.stop()
    note = f"a block of {len(VARIANTS)} boots of {MACHINE}, {session.environment.accel}"
    yield Figure("hosts: a block here", "s", tuple(spent["local"]), note=note)
    for name in list(ways)[1:]:
        pairs = list(zip(spent["local"], spent[name], strict=True))
        more = percent_more(pairs)
        yield Figure(f"hosts: more by {name}", "%", more, below=AIM_PERCENT, note=note)


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
    return prepare(setting.project, experiment, setting.log)


def _block(session: Session, folder: Path, executor: Executor) -> float:
    options = Options(folder)
    results = runner.open_results(session, options)
    with results.locked():
        failed = runner.run(session, results, options, lambda event: None, executor)
    assert not failed
    stamps = [datetime.fromisoformat(entry.at_utc) for entry in Ledger(results.path).read()[0]]
    return (max(stamps) - min(stamps)).total_seconds()
