# SPDX-License-Identifier: GPL-2.0-only
"""The loop: every boot of an experiment in order, one Run each; resumes, and never loses a run.

`run_experiment` is all of it, from names to records on disk. Whoever boots more than once calls it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from harness import host_memory
from harness.boot import BootRequest, Evidence, Output, launch
from harness.errors import HarnessError, HostError, ResultsError, UserError
from harness.files import write_atomic
from harness.host_lock import turn
from harness.kernel import Kernels
from harness.model import (
    COUNTED,
    GOOD,
    LOCK_FILE,
    Clock,
    Ending,
    Experiment,
    Judgement,
    Lockfile,
    Machine,
    Outcome,
    Probe,
    Run,
    Slot,
    Variant,
    blocks,
)
from harness.parse import evidence
from harness.project import Project
from harness.qemu import footprint
from harness.results import Ledger, Results, Wrong, newest, read_runs, to_json
from harness.run.local import Executor, Job, Local
from harness.run.session import Session, prepare

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 4
"""Boots of one slot, where a defect of the emulator ends all before the last."""


STAMP = "%Y%m%dT%H%M%SZ"
"""When a results folder was begun: its name begins with it, so that the newest sorts last."""
LEAVE_S = 30
"""For a boot to begin, and to end when its deadline has passed."""


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
    waits: str = ""
    """for whom, where the boot has to wait for its turn on the host"""


@dataclass(frozen=True)
class RunOptions:
    """How to run: where results go, and what to do with what is there."""

    results: Path
    fresh: bool = False
    retry: bool = False
    force: bool = False
    clock: Clock | None = None
    """boot only the cells of this clock now"""


@dataclass(frozen=True)
class Ran:
    """An experiment that was run: its folder, and what did not go well of all boots in it."""

    session: Session
    results: Results
    wrong: tuple[Wrong, ...] = ()

    @property
    def unread(self) -> tuple[Wrong, ...]:
        """Boots of which no record can be read, though they were planned or are there."""
        return tuple(item for item in self.wrong if item.outcome is None)


Steps = Callable[[Session, Results], Iterable[Sequence[Slot]]]
"""What to boot in turn: the next step is asked for when the one before is on disk."""


def whole(session: Session, results: Results) -> Iterable[Sequence[Slot]]:
    """The schedule of the experiment, in one step."""
    return [session.experiment.schedule()]


def run_experiment(
    project: Project,
    experiment: Experiment,
    options: RunOptions,
    *,
    derived: Iterable[Variant] = (),
    machines: Iterable[Machine] = (),
    store: Kernels | None = None,
    steps: Steps = whole,
    executor: Executor | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Ran:
    """Builds and locks an experiment, opens its folder, mends it, and boots what is missing.

    `derived` and `machines` are those without a file of their own, `store` is where kernels come
    from if not from what the project says. A boot that went wrong is a row of the dataset. Raises
    `UserError`, `HostError`, or `ResultsError` for a folder that is held or cannot be gone on with.
    """
    made = {variant.name: variant for variant in derived}, {each.name: each for each in machines}
    session = prepare(project, experiment, *made, store=store)
    results = open_results(session, options)
    with results.locked():
        mend(results)
        wrong = _boot(session, results, options, steps, on_event=on_event, executor=executor)
    return Ran(session, results, wrong)


def open_results(session: Session, options: RunOptions) -> Results:
    """The folder of this very experiment: the newest one with the same lock, else a new one."""
    experiment = session.experiment.name
    found = newest(options.results, experiment, session.lock.hash)
    if found and not options.fresh:
        return found
    now = datetime.now(UTC)
    if found:  # a clock that was set back must not let the older one win
        with contextlib.suppress(ValueError):
            before = datetime.strptime(found.path.name.partition("-")[0], STAMP).replace(tzinfo=UTC)
            now = max(now, before + timedelta(seconds=1))
    stamp = now.strftime(STAMP)
    return Results(options.results / experiment / f"{stamp}-{session.lock.hash}")


def run(
    session: Session,
    results: Results,
    options: RunOptions,
    on_event: Callable[[Event], None],
    executor: Executor | None = None,
) -> int:
    """Boots what is not there yet; answers how many boots of the experiment went wrong.

    The caller holds the folder's lock. A boot is on disk as soon as it is over. The executor says
    where boots happen: on this host, where it is not told.
    """
    return len(_boot(session, results, options, whole, on_event=on_event, executor=executor))


def _boot(
    session: Session,
    results: Results,
    options: RunOptions,
    steps: Steps,
    *,
    on_event: Callable[[Event], None],
    executor: Executor | None,
) -> tuple[Wrong, ...]:
    if session.guest and executor and not isinstance(executor, Local):
        raise UserError(
            "guest: its image is not sent to other hosts",
            remedy="run the experiment on the host that has the image, without --hosts",
        )
    begin(session, results)
    Ledger(results.path).close_lost()
    if options.retry:
        for stored in results.each():
            if stored.run.judgement.outcome not in GOOD:
                results.set_aside(slot_of(stored.run))
    planned: dict[str, Slot] = {}
    for step in steps(session, results):
        slots = [slot for slot in step if options.clock in (None, slot.clock)]
        execute(session, results, options, slots, on_event=on_event, executor=executor)
        planned |= {slot.key: slot for slot in slots}
    return results.wrong(planned.values())


def execute(
    session: Session,
    results: Results,
    options: RunOptions,
    slots: Sequence[Slot],
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    executor: Executor | None = None,
) -> None:
    """Boots these slots, those aside that are done."""
    todo = [slot for slot in slots if not results.done(slot)]
    with contextlib.ExitStack() as memory:
        job = _job(session, results, options, todo, on_event, memory=memory)
        asyncio.run((executor or Local()).execute(job))


def mend(results: Results) -> None:
    """Sets records that cannot be read aside, by name, to be booted again.

    A record of another schema version is whole, and stays. Raises `ResultsError` for a folder that
    cannot be listed: nobody knows what is in it.
    """
    files, unlisted = results.listing()
    for damage in unlisted:
        raise ResultsError(
            damage.reason, where=str(damage.path), remedy="mend it, or begin a new folder (--fresh)"
        )
    for path in files:
        for item in read_runs([path])[1]:
            if not item.foreign:
                results.shelve(path.parent)
                log.warning(f"set aside, and booted again: {path}: {item.reason}")


def begin(session: Session, results: Results) -> None:
    """Writes down what is booted and where, before the first boot.

    What the gate has said since an earlier start is renewed; what is not known here stays.
    """
    path, lock = results.path / LOCK_FILE, session.lock
    with contextlib.suppress(HarnessError):
        before = Lockfile.read(path).gate
        lock = lock.model_copy(update={"gate": before | lock.gate})
    write_atomic(path, lock.to_yaml())
    write_atomic(results.path / "env.json", to_json(session.environment))


def _job(
    session: Session,
    results: Results,
    options: RunOptions,
    todo: Sequence[Slot],
    on_event: Callable[[Event], None],
    *,
    memory: contextlib.ExitStack,
) -> Job:
    """`memory` keeps what boots of the time clock here are to find, until it is closed."""
    todo = [slot for block in blocks(todo) for slot in block.slots]
    needs = {slot.key: _need(session, slot) for slot in todo}
    long = session.guest is not None
    costs = {slot.key: footprint.boot_seconds(needs[slot.key], slot.clock, long) for slot in todo}
    numbers = {slot.key: number for number, slot in enumerate(todo, 1)}
    keep = _to_keep(session, todo, needs)
    total, over = sum(costs.values()), 0.0

    def tell(slot: Slot, run: Run) -> None:
        nonlocal over
        over += costs[slot.key]
        on_event(Event(slot, numbers[slot.key], len(todo), over, total - over, run))

    async def boot(slot: Slot) -> Run:
        nonlocal keep
        past = over + costs[slot.key]
        event = Event(slot, numbers[slot.key], len(todo), past, total - past)
        waits = lambda text: on_event(replace(event, waits=text))  # noqa: E731
        async with turn(session.project.cache, slot.clock == "time", waits):
            on_event(event)
            if keep and slot.clock == "time":
                memory.enter_context(host_memory.held(keep))
                keep = 0
            record = await _boot_slot(session, results, slot, options.force)
        tell(slot, record)
        return record

    return Job(
        session,
        results,
        Ledger(results.path),
        blocks(todo),
        lambda slot: needs[slot.key].total,
        lambda slot: _longest(session, slot),
        boot,
        tell,
        options.force,
    )


def _to_keep(
    session: Session, todo: Sequence[Slot], needs: Mapping[str, footprint.Footprint]
) -> int:
    """Bytes of free memory that the largest boot of the time clock meets; none where all is ours.

    Pages that are kept leave no room for huge ones.
    """
    timed = [slot for slot in todo if slot.clock == "time"]
    if any(session.machines[slot.machine].thp for slot in timed) or not host_memory.is_taken_back():
        return 0
    most = max((needs[slot.key].total for slot in timed), default=0)
    return most if most >= host_memory.WORTH else 0


def _need(session: Session, slot: Slot) -> footprint.Footprint:
    variant, machine = session.variants[slot.variant], session.machines[slot.machine]
    taken = session.experiment.taken(slot.cell, machine.memory)
    return footprint.footprint(machine, variant.memory_model, taken)


def _longest(session: Session, slot: Slot) -> float:
    """Seconds after which a slot is over, whatever happens in it."""
    if isinstance(session.kernels[slot.variant], str):
        return LEAVE_S
    asked = request(session, slot)
    return MAX_ATTEMPTS * (asked.deadline_s + LEAVE_S)


def slot_of(run: Run) -> Slot:
    """The slot a stored run came from."""
    return Slot(run.variant, run.machine, run.clock, run.block, run.order)


def request(session: Session, slot: Slot, force: bool = False) -> BootRequest:
    """What boots in a slot; its kernel has to be built."""
    kernel = session.kernels[slot.variant]
    assert not isinstance(kernel, str)
    variant, experiment = session.variants[slot.variant], session.experiment
    machine, instrument = session.machines[slot.machine], experiment.instrument_of(*slot.cell)
    if variant.prebuilt and instrument in COUNTED:
        # Kernels of others wait for a second CPU by the clock, which goes on as they do.
        alone = machine.work_clock.model_copy(update={"one_cpu": True})
        machine = machine.model_copy(update={"work_clock": alone})
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
        session.plugin.path if session.plugin and experiment.counts_stores(*slot.cell) else None,
        session.idle.path if session.idle else None,
        session.guest,
        session.typed,
        kernel.config,
        session.profile.path if session.profile and instrument in COUNTED else None,
        counting=experiment.counting,
        kvm_slowdown=session.environment.slowdown,
    )


def single(
    project: Project,
    variant: str,
    machine: str,
    clock: Clock,
    *,
    append: Sequence[str] = (),
    image: str | None = None,
    base: str | None = None,
    probes: Sequence[str] | None = None,
) -> Experiment:
    """The experiment that is one boot; raises `UserError` for names that are not there."""
    known = get_args(Probe)
    if unknown := [name for name in probes or () if name not in known]:
        raise UserError(
            f"no probe called {', '.join(map(repr, unknown))}",
            where="--probes",
            remedy=f"there are: {', '.join(known)}; or none",
        )
    more: dict[str, Any] = {} if probes is None else {"probes": {"run": tuple(probes)}}
    base = project.chosen(base)
    group = {
        "variants": [project.variant(variant).name],
        "machines": [project.machine(machine).name],
        "clocks": {clock: {"blocks": 1}},
    }
    return Experiment(
        name="boot",
        description="one boot by hand",
        baseline=variant,
        matrix=[group],
        bases=base and (base,),
        boot=tuple(append),
        guest={"image": image} if image else None,
        **more,
    )


def boot_once(
    session: Session,
    results: Results,
    slot: Slot,
    force: bool = False,
    on_output: Output | None = None,
) -> Run:
    """One boot with all its evidence, from the empty folder to the finished record."""
    return asyncio.run(_boot_slot(session, results, slot, force, on_output))


async def _boot_slot(
    session: Session, results: Results, slot: Slot, force: bool, on_output: Output | None = None
) -> Run:
    """Boots again, up to a limit, what a defect of the emulator ended; the evidence is kept."""
    while True:
        record = await _attempt(session, results, slot, force, on_output)
        spoilt = record.judgement.emulator_defect and record.environment.accel == "tcg"
        if not spoilt or record.attempt >= MAX_ATTEMPTS:
            return record
        results.set_aside(slot)


async def _attempt(
    session: Session, results: Results, slot: Slot, force: bool, on_output: Output | None
) -> Run:
    folder, attempt = results.open_part(slot)
    started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    kernel = session.kernels[slot.variant]
    if isinstance(kernel, str):
        seen = Evidence(ending=Ending(cause="build-failed", detail=kernel))
    else:
        seen = await launch(request(session, slot, force), folder, on_output)
    record = _record(session, slot, seen, attempt, started)
    try:
        evidence.index(folder, seen.chunks)
        record = evidence.complete(record, folder)
    except HostError:
        raise
    except Exception as error:  # whatever a guest says, it ends no run but its own
        why = f"its evidence stops our parser, a bug: {type(error).__name__}: {str(error)[:200]}"
        judgement = Judgement(outcome=Outcome.INCOMPLETE, reason=why)
        record = record.model_copy(update={"judgement": judgement})
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
        instrument=session.experiment.instrument_of(*slot.cell),
        work_shift=machine.work_clock.shift,
        started_utc=started,
        kernel=None if isinstance(kernel, str) else kernel.kernel,
        environment=session.environment.model_copy(update={"accel": accel, "thp": machine.thp}),
        argv=seen.argv,
        command_line=seen.command_line,
        ending=seen.ending,
        judgement=Judgement(outcome=Outcome.INCOMPLETE),
        samples=seen.samples,
        neighbours=seen.neighbours,
        visit=seen.login,
        first_result_s=seen.first_result_s,
    )
