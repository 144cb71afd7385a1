# SPDX-License-Identifier: GPL-2.0-only
"""The largest machine that a variant boots on this host, found by boots of larger and larger ones.

Nothing is taken from a prediction but the size to begin with: what is too large has to fail for
real, and its outcome says why.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import host
from harness.errors import ResultsError
from harness.model import (
    GOOD,
    Experiment,
    Group,
    Lockfile,
    Machine,
    Node,
    Outcome,
    Probes,
    Run,
    Slot,
    Timeouts,
    Variant,
)
from harness.project import Project
from harness.qemu import footprint
from harness.results import RUN_FILE, Results, read_run
from harness.run.loop import Event, Ran, RunOptions, run_experiment
from harness.run.session import Session
from harness.text import one_line
from harness.units import GIB, TIB, format_size

log = logging.getLogger(__name__)

NODES = 4
FULL = 0.9
"""Of a host's memory: a QEMU that holds so much leaves the host none to run it with."""

STEPS = 8
"""Sizes from one power of two to the next: the answer is good to an eighth."""

SMALLEST, END = 16 * GIB, 64 * TIB
"""64 TiB is where x86-64 with 4-level paging runs out of physical address bits."""

PROBES = Probes.model_validate({"run": ("meminfo",)})


def sizes() -> Iterator[int]:
    """Bytes of the machines, from the smallest on: multiples of an eighth of a power of two."""
    power = SMALLEST
    while power < END:
        yield from (power + power // STEPS * n for n in range(STEPS))
        power *= 2


def machine(memory: int) -> Machine:
    """Equal nodes with a CPU each, and time enough."""
    return Machine(
        name=f"quad-{memory // GIB}g",
        description=f"{format_size(memory)} over {NODES} nodes",
        nodes=tuple(Node(cpus=(n,), memory=memory // NODES) for n in range(NODES)),
        deadline_s=1800,
    )


@functools.cache
def machines() -> dict[str, Machine]:
    """The ladder, by name, from the smallest on."""
    return {made.name: made for made in map(machine, sizes())}


def experiment(variants: Sequence[str], base: str | None = None) -> Experiment:
    """Every size for every variant; the search boots but a few of them."""
    group = Group.model_validate(
        {"variants": variants, "machines": [*machines()], "clocks": {"time": {"blocks": 1}}}
    )
    return Experiment(
        name="limit",
        description="the largest machine that each variant boots on this host",
        baseline=variants[0],
        bases=base and (base,),
        matrix=(group,),
        probes=PROBES,
        # Nothing is printed while the memmap is written.
        limits=Timeouts(silence_s=60, progress_s=75),
        search=True,
    )


def guess(variant: Variant, available: int) -> int:
    """Place in the ladder of the largest machine that is predicted to fit; 0 where none is."""
    needs = (footprint.footprint(m, variant.memory_model, 0).total for m in machines().values())
    return max((n for n, need in enumerate(needs) if need <= available), default=0)


def search_variants(
    project: Project,
    names: Sequence[str],
    folder: Path,
    *,
    base: str | None = None,
    fresh: bool = False,
) -> Ran:
    """Searches for the largest machine of one variant after the other; results go below `folder`.

    `base` is the kernel source by its name, where it is not the default one.
    A search ends early at a boot of which the record cannot be read; it is in `unread`.
    """
    return run_experiment(
        project,
        experiment(names, base),
        RunOptions(folder, fresh=fresh, force=True),
        machines=machines().values(),
        steps=_steps,
        on_event=_tell,
    )


def _steps(session: Session, results: Results) -> Iterator[Sequence[Slot]]:
    ladder = list(machines())
    for name in session.experiment.variants:
        known: dict[int, bool] = {}
        first = guess(session.variants[name], host.available_memory())
        for place in search(first, len(ladder) - 1, known):
            slot = Slot(name, ladder[place], "time", 0, 0)
            yield [slot]
            try:
                known[place] = _works(read_run(results.folder(slot) / RUN_FILE))
            except ResultsError:
                break


def _tell(event: Event) -> None:
    run = event.run
    said = event.waits or "..."
    if run:
        reason = f": {run.judgement.reason}" if run.judgement.reason else ""
        said = f"{run.judgement.outcome}{reason} in {run.ending.wall_s:.1f} s"
    size = format_size(machines()[event.slot.machine].memory)
    log.info(f"{event.slot.variant} on {size} {said}")


def search(first: int, last: int, known: Mapping[int, bool]) -> Iterator[int]:
    """Places from 0 to `last` to boot, until a good one stands right below a bad one.

    Whoever takes a place puts into `known` whether it booted before asking for the next. Steps
    double while all is good or all is bad, then halve: as few boots as it takes. Where a larger
    machine boots than one that did not, the larger one counts.
    """
    place: int | None = first
    while place is not None:
        yield place
        place = _next(known, last)


def _next(known: Mapping[int, bool], last: int) -> int | None:
    good = max((n for n, ok in known.items() if ok), default=-1)
    bad = min((n for n, ok in known.items() if not ok and n > good), default=last + 1)
    if bad - good <= 1:
        return None
    step = 1 << (len(known) - 1)
    if good < 0:
        return max(0, bad - step)
    if bad > last:
        return min(last, good + step)
    return (good + bad) // 2


def rows(runs: Sequence[Run], lock: Lockfile | None) -> list[dict[str, Any]]:
    """The rows of limits.csv: one a variant, from the boots that there are."""
    if lock is None or not lock.experiment.search:
        return []
    return [
        _row(name, [run for run in runs if run.variant == name], lock.machines)
        for name in lock.experiment.variants
    ]


def _row(variant: str, runs: Sequence[Run], known: Mapping[str, Machine]) -> dict[str, Any]:
    by_size = {known[run.machine].memory: run for run in runs if run.machine in known}
    good = max((m for m, run in by_size.items() if _works(run)), default=0)
    bad = min((m for m, run in by_size.items() if not _works(run) and m > good), default=None)
    row: dict[str, Any] = {
        "variant": variant,
        "boots": len(by_size),
        "max_bootable_bytes": good or None,
    }
    if good:
        run = by_size[good]
        row |= {"run_id": run.run_id, "wall_s": run.ending.wall_s}
        row |= {"host_rss_peak_bytes": _peak(run) or None}
    if bad is not None:
        run = by_size[bad]
        row |= {"next_bytes": bad, "next_run_id": run.run_id}
        row |= {"next_outcome": run.judgement.outcome.value, "next_reason": _why(run)}
    return row


def _peak(run: Run) -> int:
    return max((sample.rss_bytes for sample in run.samples), default=0)


def _why(run: Run) -> str | None:
    """The reason of a boot; that of one that stalled is the host where its memory was full."""
    reason, peak, total = run.judgement.reason, _peak(run), run.environment.host_memory_bytes
    if run.judgement.outcome is Outcome.STALLED and peak > FULL * total:
        held = f"QEMU held {format_size(peak)} of the host's {format_size(total)}"
        reason = f"{reason}: the host was out of memory, {held}"
    return one_line(reason)


def _works(run: Run) -> bool:
    return run.judgement.outcome in GOOD
