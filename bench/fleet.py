# SPDX-License-Identifier: GPL-2.0-only
"""Many hosts: what a block costs the controller, its memory, and how soon it goes on after a kill.

The hosts are simulated: they answer at once, with a record for each boot. All else is real: ledger,
results folder, threads.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

from bench.figure import Figure
from bench.setting import Setting
from harness.guest.initramfs import Initramfs
from harness.hosts.inventory import Inventory
from harness.hosts.passage import incoming, take_in
from harness.hosts.remote import Remote, Rounds
from harness.hosts.roster import Attempt, Log
from harness.model.experiment import Experiment
from harness.model.lockfile import Lockfile
from harness.model.machine import Machine
from harness.model.run import Ending, Environment, Judgement, Outcome, Run
from harness.model.variant import Variant
from harness.results.folder import RUN_FILE, Results, to_json
from harness.results.ledger import Fate, Ledger
from harness.run import loop
from harness.run.local import Job
from harness.run.session import Session
from harness.ssh.hostkeys import Trust
from harness.units import MIB

HOSTS = 200
BLOCKS, FULL_BLOCKS = 2_000, 20_000
NODE = {"cpus": 0, "memory": "1GiB"}
ENVIRONMENT = Environment(
    host="simulated",
    host_cpu="none",
    host_cpus=2,
    host_memory_bytes=1 << 34,
    host_kernel="6",
    qemu_version="7.2.0",
    accel="tcg",
    thp=False,
    harness_version="0",
)


class SimulatedHosts(Rounds):
    """Every block is done as soon as it is asked for."""

    def carry(self, attempt: Attempt) -> list[Run]:
        """Without the way there and back."""
        return answer(self.job, attempt)


def answer(job: Job, attempt: Attempt) -> list[Run]:
    """Leaves what a host would have sent, and takes it in."""
    block, folder = attempt.block, incoming(job, attempt)
    for slot in block.slots:
        place = folder / "runs" / slot.key
        place.mkdir(parents=True)
        run = Run(
            run_id=slot.run_id(job.session.lock.hash),
            variant=slot.variant,
            machine=slot.machine,
            clock=slot.clock,
            block=slot.block,
            started_utc="2026-01-01T00:00:00Z",
            environment=ENVIRONMENT,
            ending=Ending(cause="done"),
            judgement=Judgement(outcome=Outcome.OK),
        )
        (place / RUN_FILE).write_text(to_json(run))
    return take_in(job, block, folder)


class Simulated(Remote):
    """The executor for them."""

    def rounds(self, job: Job) -> Rounds:
        """All else is as for real hosts."""
        return SimulatedHosts(self, job)


def measure(setting: Setting) -> Iterator[Figure]:
    """One figure for each of the three."""
    count = FULL_BLOCKS if setting.full else BLOCKS
    session = make_session(setting, count)
    results = Results(setting.scratch / "fleet")
    setting.log(f"fleet: {count} blocks of two boots on {HOSTS} simulated hosts")
    start = time.monotonic()
    boot_all(session, results, Simulated(*terms()))
    took = time.monotonic() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure(f"overhead of a block, of {count}", "ms", (1000 * took / count,))
    yield Figure("memory of the controller at most", "MiB", (memory,))
    ledger = Ledger(results.path)
    done = [entry for entry in ledger.read()[0] if entry.fate == Fate.DONE]
    assert len(done) == count
    start = time.monotonic()
    boot_all(session, results, Simulated(*terms()))
    yield Figure("start with nothing left to do", "s", (time.monotonic() - start,))


def terms() -> tuple[Inventory, Trust, Log]:
    """What an executor for the simulated hosts is told."""
    hosts = {f"h{n}": host() for n in range(HOSTS)}
    return Inventory.parse({"name": "hosts", "hosts": hosts}, "hosts"), Trust([]), lambda text: None


def boot_all(session: Session, results: Results, executor: Remote) -> None:
    """What ``harness run --hosts`` does once kernels are built."""
    options = loop.RunOptions(results.path)
    with results.locked():
        assert not loop.run(session, results, options, lambda event: None, executor)


def host() -> dict[str, object]:
    return {"address": "127.0.0.1", "user": "nobody", "memory": 16 * 1024 * MIB, "cores": 8}


def make_session(setting: Setting, count: int) -> Session:
    """Two variants without a kernel, on two machines."""
    variants = {
        n: Variant.parse({"name": n, "description": n, "prebuilt": {"path": n}}, n) for n in "ab"
    }
    machines = {
        n: Machine.parse({"name": n, "description": n, "nodes": [NODE], "accel": "tcg"}, n)
        for n in ("m", "n")
    }
    clocks = {"time": {"blocks": count // 2}}
    group = {"variants": ["a", "b"], "machines": ["m", "n"], "clocks": clocks}
    experiment = Experiment.parse(
        {"name": "fleet", "description": "d", "baseline": "a", "matrix": [group]}, "fleet"
    )
    lock = Lockfile(
        experiment=experiment,
        base="",
        variants=variants,
        machines=machines,
        kernels={"a": "none", "b": "none"},
        initramfs_sha256="0",
        environment=ENVIRONMENT,
    )
    initramfs = Initramfs(setting.scratch / "none", "0")
    return Session(
        project=setting.project,
        experiment=experiment,
        variants=variants,
        machines=machines,
        kernels={"a": "none", "b": "none"},
        initramfs=initramfs,
        environment=ENVIRONMENT,
        lock=lock,
    )
