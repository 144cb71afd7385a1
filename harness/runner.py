# SPDX-License-Identifier: GPL-2.0-only
"""The loop: every boot of an experiment in order, one Run each; resumes, and never loses a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from harness import accelerator, evidence, host, initramfs, qemu
from harness.boot import BootRequest, Evidence, Output, boot
from harness.errors import BuildError, ConfigError, PatchError, UserError
from harness.experiment import Experiment, Slot
from harness.initramfs import Initramfs
from harness.kbuild import BuiltKernel
from harness.kernels import Kernels
from harness.lock import Lock
from harness.machine import Accel, Machine
from harness.project import Project
from harness.record import GOOD, Ending, Environment, Judgement, Outcome, Run
from harness.results import Results, newest, to_json, write_atomic
from harness.variant import Variant

MAX_ATTEMPTS = 4
"""Boots of one slot, where a defect of the emulator ends all before the last."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class Event:
    """Something a person who watches wants to know: a boot begins, or has ended.

    `past_s` and `left_s` are predictions for the boots up to this one and after it.
    """

    slot: Slot
    number: int
    total: int
    past_s: float
    left_s: float
    run: Run | None = None


@dataclass(frozen=True)
class Options:
    """How to run: where results go, and what to do with what is there."""

    results: Path
    fresh: bool = False
    retry: bool = False
    force: bool = False


@dataclass(frozen=True)
class Session:
    """An experiment with all it needs at hand: kernels, initramfs, host, lock."""

    project: Project
    experiment: Experiment
    variants: dict[str, Variant]
    machines: dict[str, Machine]
    kernels: dict[str, BuiltKernel | str]
    initramfs: Initramfs
    environment: Environment
    lock: Lock = field(repr=False)
    misfits: tuple[str, ...] = ()
    """Variants whose input is wrong: a patch that does not apply, an option that was dropped."""


def prepare(
    project: Project,
    experiment: Experiment,
    log: Log,
    derived: Mapping[str, Variant] | None = None,
    machines: Mapping[str, Machine] | None = None,
) -> Session:
    """Builds kernels and guest programs and looks at the host.

    `derived` are variants, and `machines` machines, that have no file of their own. A variant that
    does not apply, configure or compile is kept with its error: its boots become rows with the
    outcome `build-failed`.
    """
    known = derived or {}
    variants = {name: known.get(name) or project.variant(name) for name in experiment.variants}
    made = machines or {}
    machines = {name: made.get(name) or project.machine(name) for name in experiment.machines}
    host.find_qemu()
    store = Kernels(project, log)
    kernels, misfits = _build(store, variants, log)
    guest = initramfs.build(project.cache)
    environment = host.environment(_accel(project, machines, kernels, guest))
    built = any(not variant.prebuilt for variant in variants.values())
    lock = Lock(
        experiment=experiment,
        base=store.base.version if built else "",
        variants=variants,
        machines=machines,
        kernels={n: k if isinstance(k, str) else k.kernel for n, k in kernels.items()},
        initramfs_sha256=guest.sha256,
        environment=environment,
    )
    return Session(
        project, experiment, variants, machines, kernels, guest, environment, lock, misfits
    )


def _build(
    store: Kernels, variants: dict[str, Variant], log: Log
) -> tuple[dict[str, BuiltKernel | str], tuple[str, ...]]:
    """The kernel of each variant, or what is wrong with it; and whose input is wrong."""
    kernels: dict[str, BuiltKernel | str] = {}
    misfits = []
    for name, variant in variants.items():
        try:
            kernels[name] = store.get(variant)
        except (PatchError, ConfigError, BuildError) as error:
            log(f"{name}: {error}")
            kernels[name] = str(error)
            if isinstance(error, UserError):
                misfits.append(name)
    return kernels, tuple(misfits)


def open_results(session: Session, options: Options) -> Results:
    """The folder of this very experiment: the newest one with the same lock, else a new one."""
    experiment = session.experiment.name
    found = None if options.fresh else newest(options.results, experiment, session.lock.hash)
    if found:
        return found
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return Results(options.results / experiment / f"{stamp}-{session.lock.hash}")


def run(
    session: Session, results: Results, options: Options, on_event: Callable[[Event], None]
) -> int:
    """Boots what is not there yet; answers how many boots of the experiment went wrong.

    The caller holds the folder's lock. Everything is on disk before the next boot begins.
    """
    begin(session, results)
    if options.retry:
        for stored in results.read()[0]:
            if stored.run.judgement.outcome not in GOOD:
                results.set_aside(slot_of(stored.run))
    todo = [slot for slot in session.experiment.schedule() if not results.done(slot)]
    costs = [_seconds(session, slot) for slot in todo]
    for number, slot in enumerate(todo, 1):
        event = Event(slot, number, len(todo), sum(costs[:number]), sum(costs[number:]))
        on_event(event)
        done = boot_once(session, results, slot, options.force)
        on_event(replace(event, run=done))
    return sum(stored.run.judgement.outcome not in GOOD for stored in results.read()[0])


def begin(session: Session, results: Results) -> None:
    """Writes down what is booted and where, before the first boot."""
    write_atomic(results.path / "experiment.lock.yaml", session.lock.to_yaml())
    write_atomic(results.path / "env.json", to_json(session.environment))


def _seconds(session: Session, slot: Slot) -> float:
    variant, machine = session.variants[slot.variant], session.machines[slot.machine]
    touched = session.experiment.probes_of(*slot.cell).touched(machine.memory)
    return qemu.boot_seconds(qemu.footprint(machine, variant.memory_model, touched), slot.clock)


def slot_of(run: Run) -> Slot:
    """The slot a stored run came from."""
    return Slot(run.variant, run.machine, run.clock, run.block, run.order)


def request(session: Session, slot: Slot, force: bool = False) -> BootRequest:
    """What boots in a slot; its kernel has to be built."""
    kernel = session.kernels[slot.variant]
    assert not isinstance(kernel, str)
    variant, experiment = session.variants[slot.variant], session.experiment
    machine = session.machines[slot.machine]
    return BootRequest(
        kernel.image,
        session.initramfs.path,
        machine,
        # The work clock counts instructions, which only TCG can.
        "tcg" if slot.clock == "work" else session.environment.accel,
        slot.clock,
        (*variant.boot, *experiment.boot),
        experiment.probes_of(*slot.cell),
        experiment.limits,
        variant.memory_model,
        kernel.system_map,
        session.environment.tsc_khz,
        force,
    )


def boot_once(
    session: Session,
    results: Results,
    slot: Slot,
    force: bool = False,
    on_output: Output | None = None,
) -> Run:
    """One boot with all its evidence, from the empty folder to the finished record.

    A boot that a defect of the emulator ended is set aside, with its evidence, and tried again.
    """
    while True:
        record = _attempt(session, results, slot, force, on_output)
        spoilt = record.judgement.emulator_defect and record.environment.accel == "tcg"
        if not spoilt or record.attempt >= MAX_ATTEMPTS:
            return record
        results.set_aside(slot)


def _attempt(
    session: Session, results: Results, slot: Slot, force: bool, on_output: Output | None
) -> Run:
    folder, attempt = results.open_part(slot)
    started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    kernel = session.kernels[slot.variant]
    if isinstance(kernel, str):
        seen = Evidence(ending=Ending(cause="build-failed", detail=kernel))
    else:
        seen = boot(request(session, slot, force), folder, on_output)
    evidence.index(folder, seen.chunks)
    record = evidence.complete(_record(session, slot, seen, attempt, started), folder)
    results.finish(folder, record)
    return record


def _record(session: Session, slot: Slot, seen: Evidence, attempt: int, started: str) -> Run:
    """The run before anybody has read its evidence."""
    kernel, machine = session.kernels[slot.variant], session.machines[slot.machine]
    accel = "tcg" if slot.clock == "work" else session.environment.accel
    return Run(
        run_id=slot.run_id(session.lock.hash),
        attempt=attempt,
        variant=slot.variant,
        machine=slot.machine,
        clock=slot.clock,
        block=slot.block,
        warmup=slot.warmup,
        order=slot.order,
        work_shift=machine.work_clock.shift,
        started_utc=started,
        kernel=None if isinstance(kernel, str) else kernel.kernel,
        environment=session.environment.model_copy(update={"accel": accel, "thp": machine.thp}),
        argv=seen.argv,
        command_line=seen.command_line,
        ending=seen.ending,
        judgement=Judgement(outcome=Outcome.INCOMPLETE),
        samples=seen.samples,
    )


def _accel(
    project: Project,
    machines: dict[str, Machine],
    kernels: dict[str, BuiltKernel | str],
    guest: Initramfs,
) -> Accel:
    """One accelerator for the whole experiment: two would be two populations in one dataset."""
    wanted = {machine.accel for machine in machines.values()}
    images = [kernel.image for kernel in kernels.values() if not isinstance(kernel, str)]
    if "tcg" in wanted or not images:
        return "tcg"
    asked: Accel | Literal["auto"] = "kvm" if "kvm" in wanted else "auto"
    return accelerator.choose(asked, images[0], guest.path, project.cache)
