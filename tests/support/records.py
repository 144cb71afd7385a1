# SPDX-License-Identifier: GPL-2.0-only
"""Records of runs and a lockfile, made here; hostile texts in them."""

from pathlib import Path

from harness.dataset import dataset
from harness.dataset.dataset import Dataset
from harness.model.experiment import Experiment
from harness.model.lockfile import Lockfile
from harness.model.machine import Machine
from harness.model.run import (
    Ending,
    Environment,
    HostSample,
    Judgement,
    Kernel,
    Outcome,
    Phase,
    Run,
)
from harness.model.variant import Variant
from harness.results.folder import StoredRun
from harness.results.ledger import Ledger

EVIL = "</pre><script>alert(1)</script> | `x` \x1b[31m\u202e"
ENVIRONMENT = Environment(
    host="h",
    host_cpu="c",
    host_cpus=2,
    host_memory_bytes=1 << 34,
    host_kernel="6",
    qemu_version="7.2.22",
    accel="tcg",
    thp=False,
    harness_version="0",
)


GROUP = {"variants": ["one"], "machines": ["small"], "clocks": {"time": {"blocks": 1}}}


def an_experiment(**more: object) -> Experiment:
    """One boot; `more` are other keys of its file."""
    keys = {"name": "x", "description": "x", "baseline": "one", "matrix": [GROUP]}
    return Experiment(**(keys | more))


def lock() -> Lockfile:
    def machine(name: str, memory: str) -> Machine:
        data = {"name": name, "description": "d", "nodes": [{"cpus": 0, "memory": memory}]}
        return Machine.parse(data, name)

    group = {
        "variants": ["eager", "grow"],
        "machines": ["m1", "m2"],
        "clocks": {"time": {"blocks": 3}, "work": {"blocks": 1}},
    }
    claim = {"metric": "memmap_init", "text": EVIL, "speedup": 29.5, "at": "16TiB"}
    variants = {
        name: Variant(name=name, description="d", prebuilt={"path": "x"}, claims=[claim])
        for name in ("eager", "grow")
    }
    return Lockfile(
        experiment=Experiment(name="x", description=EVIL, baseline="eager", matrix=[group]),
        base="6.12",
        variants=variants,
        machines={"m1": machine("m1", "1GiB"), "m2": machine("m2", "2GiB")},
        kernels={},
        initramfs_sha256="0",
        environment=ENVIRONMENT,
    )


def stored(cell, block, seconds, outcome="ok", reason="") -> StoredRun:
    variant, machine, clock = cell
    whole = seconds * (1e9 if clock == "work" else 1)
    phases = [
        Phase(name=name, node=node, source="mark", start=0, end=whole, busy=whole, pages=pages)
        for name, node, pages in (
            ("boot", None, 0),
            ("memmap_init", None, 1000),
            ("memmap_init", 0, 9),
        )
    ]
    touch = {"probe": "touch_total", "pass": 1, "kind": "first-touch", "threads": 2}
    run = Run(
        run_id=f"{variant}{machine}{clock}{block}",
        variant=variant,
        machine=machine,
        clock=clock,
        block=block,
        started_utc="2026-01-01T00:00:00Z",
        environment=ENVIRONMENT,
        ending=Ending(cause="done", wall_s=1),
        judgement=Judgement(outcome=outcome, reason=reason, excerpt=(EVIL,) if reason else ()),
        phases=phases,
        probes=(
            {"probe": "meminfo", "mem_total_bytes": 1 << 30, EVIL: EVIL},
            {**touch, "pages": 100, "tsc_span": 5000, "wall_ns": 2000, "faults_minor": 100},
        ),
        samples=(
            HostSample(
                host_s=1, rss_bytes=1 << 28, minor_faults=1, major_faults=0, user_s=1, system_s=0
            ),
        ),
    )
    return StoredRun(run, Path("results") / "runs" / variant / machine / clock / f"{block:03d}")


def a_run(**changes: object) -> Run:
    environment = Environment(
        host="h",
        host_cpu="c",
        host_cpus=2,
        host_memory_bytes=1,
        host_kernel="k",
        qemu_version="7.2.0",
        accel="tcg",
        thp=False,
        harness_version="0",
    )
    base = Run(
        run_id="0" * 16,
        variant="eager",
        machine="tiny-2g",
        clock="time",
        block=0,
        started_utc="2026-01-01T00:00:00Z",
        environment=environment,
        ending=Ending(cause="done"),
        judgement=Judgement(outcome=Outcome.OK),
    )
    return base.model_copy(update=changes)


def tabulated() -> Dataset:
    """Two variants on two machines by both clocks; one boot failed, and its guest is hostile."""
    runs = []
    for machine, factor in (("m1", 1), ("m2", 2)):
        for block in range(3):
            runs.append(stored(("eager", machine, "time"), block, factor * (1 + block / 10)))
            runs.append(stored(("grow", machine, "time"), block, factor * (0.1 + block / 100)))
        runs.append(stored(("eager", machine, "work"), 0, factor))
    runs.append(stored(("grow", "m1", "work"), 0, 1, "panic", EVIL))
    return dataset.tabulate(runs, lock(), root=Path("results"))


def told(ledger: Ledger) -> list[tuple[str, int, str | None]]:
    """Block, attempt and fate of each entry."""
    return [(e.block, e.attempt, e.fate) for e in ledger.read()[0]]


def grown(tree="t1", boot=()):
    """The lock of `lock`, with a kernel of `grow` made from this source."""
    kernel = Kernel(kernel_id="k", base_version="6.12", tree=tree, image_sha256="i")
    variant = Variant(name="grow", description="d", fragments=["base"], boot=list(boot))
    plain = lock()
    return plain.model_copy(
        update={
            "variants": {**plain.variants, "grow": variant},
            "kernels": {"grow": kernel},
        }
    )
