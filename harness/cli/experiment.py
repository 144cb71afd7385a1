# SPDX-License-Identifier: GPL-2.0-only
"""``harness plan`` and ``harness run``: an experiment, before and for real."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import evidence, host, image, qemu, runner
from harness.cli.hosts import add_hosts, executor_of
from harness.cli.screen import Log, add_examples, add_json, out, print_json, print_table, project
from harness.cli.until import add_until, check, go_on
from harness.errors import HarnessError
from harness.experiment import Experiment, Slot, definition
from harness.kernels import Kernels
from harness.project import Project
from harness.quantity import format_size
from harness.results import Results, write_atomic
from harness.runner import Event, Options
from harness.session import Session, fit, prepare

if TYPE_CHECKING:
    from harness.dataset import Dataset

BUILD_GUESS = 120.0
"""Seconds for a kernel: the first one takes two to five minutes, each further one half a minute."""

RUN_BYTES = 200_000
"""Disk that the evidence of one boot takes, about."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommands."""
    _register_run(commands)
    _register_plan(commands)


def _register_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="boot every cell of an experiment, then collate and report",
        description="Builds what is not built, boots what is not booted, and writes dataset and"
        " report to DIR/NAME/TIME-HASH. The hash stands for all that the experiment resolves to:"
        " the next start with the same one goes on where this one was interrupted. Exit status 1"
        " when a boot went wrong, which is a row of the dataset all the same; 2 when the input of"
        " a variant is wrong.",
    )
    _common(parser)
    parser.add_argument(
        "--results",
        metavar="DIR",
        type=Path,
        default=Path("results"),
        help="where results go (default: results)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="begin a new results folder instead of going on"
    )
    parser.add_argument("--retry", action="store_true", help="boot again what failed; it stays too")
    parser.add_argument(
        "--force", action="store_true", help="boot even what is predicted not to fit"
    )
    parser.add_argument(
        "--clock",
        choices=("time", "work"),
        help="boot only the cells of this clock now; no load disturbs those of the work clock",
    )
    add_hosts(parser)
    add_until(parser)
    add_examples(
        parser,
        "harness run quick             # experiments/quick.yaml; again: goes on where it was",
        "harness run mine.yaml --results /data --retry",
        "harness run quick --until 2% --metric memmap_init",
    )
    parser.set_defaults(action=run)


def _register_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "plan",
        help="what `run` would do: cells, QEMU lines, cost; nothing is done",
        description="Prints the cells, what each takes of the host's memory and whether that"
        " fits, and a rough cost in time and disk from nothing. Builds, downloads and boots"
        " nothing.",
    )
    _common(parser)
    parser.add_argument("--lines", action="store_true", help="print the QEMU lines too")
    add_examples(
        parser,
        "harness plan quick            # cells, boots, predicted memory, kernels to build",
        "harness plan scale --lines    # and the QEMU line of each cell",
    )
    parser.set_defaults(action=plan)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", type=Path, help="name in experiments/, or a YAML file"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """The whole loop."""
    place, log = project(arguments), Log()
    experiment, executor = place.experiment(arguments.experiment), executor_of(arguments, log)
    if arguments.until:
        check(arguments, experiment)
    options = Options(
        arguments.results, arguments.fresh, arguments.retry, arguments.force, arguments.clock
    )
    session = prepare(place, experiment, log)
    results = runner.open_results(session, options)
    looks: list[str] = []

    def boot(time_blocks: int = 0, first: bool = True) -> int:
        more = replace(options, time_blocks=time_blocks, retry=options.retry and first)
        return runner.run(session, results, more, Progress(log), executor)

    with results.locked():
        runner.mend(results, log)
        if arguments.until:
            failed, looks = go_on(arguments, experiment, results, boot, log)
        else:
            failed = boot()
        found = publish(results)
    differ = [str(mismatch) for mismatch in found.repeats.mismatches]
    if arguments.json:
        said = {"failed": failed, "not_the_same": differ} | ({"looks": looks} if looks else {})
        print_json({"results": str(results.path), **said})
    else:
        _tell(experiment, results, found, failed, differ)
    return status(session, failed + len(differ))


def _tell(
    experiment: Experiment,
    results: Results,
    found: Dataset,
    failed: int,
    differ: Sequence[str],
) -> None:
    from harness import report

    print_table(f"{experiment.name}: medians", report.headline(found), left=3)
    for caveat in report.caveats(found):
        out.print(caveat, markup=False)
    folder = results.path
    out.print(f"\ndataset: {folder}\nreport:  {folder / 'report.html'}", markup=False)
    for mismatch in differ:
        out.print(f"NOT THE SAME: {mismatch}", markup=False)
    for item in found.damage:
        out.print(f"DAMAGED: {item.path}: {item.reason}", markup=False)
    if failed:
        out.print(f"{failed} boot(s) went wrong; see the report", markup=False)


def status(session: Session, failed: int) -> int:
    """2 where the input of a variant was wrong, 1 where a boot went wrong, else 0."""
    return 2 if session.misfits else int(failed > 0)


def publish(results: Results) -> Dataset:
    """Writes every CSV and both reports of a results folder from its raw evidence."""
    from harness import dataset, report  # pandas and scipy: half a second

    found = dataset.collate(results, evidence.reread)
    dataset.write(found, results.path)
    page, text = report.render(results, found)
    write_atomic(results.path / "report.html", page)
    write_atomic(results.path / "report.md", text)
    return found


class Progress:
    """A line for each boot, with the time that is probably left."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._start = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Says what begins or has ended."""
        slot, record = event.slot, event.run
        name = f"[{event.number}/{event.total}] {slot.variant} {slot.machine} {slot.clock}"
        name += " warm-up" if slot.warmup else f" block {slot.block}"
        if event.waits:
            self._log(f"{name} {event.waits}")
            return
        if record is None:
            self._log(f"{name} ...")
            return
        left = (time.monotonic() - self._start) / event.past_s * event.left_s
        reason = f" ({record.judgement.reason})" if record.judgement.reason else ""
        outcome = f"{record.judgement.outcome}{reason} in {record.ending.wall_s:.1f} s"
        self._log(f"{name} {outcome}; about {left / 60:.0f} min left")


def plan(arguments: argparse.Namespace) -> int:
    """Says what would happen and what it would cost."""
    place = project(arguments)
    experiment = place.experiment(arguments.experiment)
    slots = experiment.schedule()
    available = host.available_memory()
    cells = [_cell(place, experiment, slot, available) for slot in _cells(slots)]
    builds = _unbuilt(place, experiment)
    each = {(c["variant"], c["machine"], c["clock"]): c["seconds_about"] for c in cells}
    seconds = sum(each[s.variant, s.machine, s.clock] for s in slots) + len(builds) * BUILD_GUESS
    cost = {
        "boots": len(slots),
        "kernels_to_build": builds,
        "seconds_about": round(seconds),
        "disk_bytes_about": len(slots) * RUN_BYTES,
        "memory_available_bytes": available,
    }
    if arguments.json:
        print_json({"cells": cells, "cost": cost})
        return 0
    _show_cells(experiment, cells, slots)
    if arguments.lines:
        for cell in cells:
            out.print("\n" + " ".join(cell["argv"]), markup=False)
    out.print(
        f"\n{len(slots)} boots; kernels to build: {', '.join(builds) or 'none'};"
        f" about {seconds / 60:.0f} min, {format_size(len(slots) * RUN_BYTES)} of results",
        markup=False,
    )
    return 0


def _show_cells(
    experiment: Experiment, cells: Sequence[Mapping[str, Any]], slots: Sequence[Slot]
) -> None:
    head = ["variant", "machine", "clock", "boots", "host memory", "fits"]
    boots = {(c["variant"], c["machine"], c["clock"]): 0 for c in cells}
    for slot in slots:
        boots[slot.variant, slot.machine, slot.clock] += 1
    rows = [
        [
            *(key := (cell["variant"], cell["machine"], cell["clock"])),
            str(boots[key]),
            format_size(cell["host_memory_bytes"]),
            "yes" if cell["fits"] else "NO",
        ]
        for cell in cells
    ]
    print_table(f"{experiment.name}: {experiment.description}", [head, *rows])


def _cells(slots: Sequence[Slot]) -> list[Slot]:
    """One slot of each cell, in order."""
    cells: dict[tuple[str, str, str], Slot] = {}
    for slot in sorted(slots, key=lambda slot: (slot.machine, slot.clock, slot.variant)):
        cells.setdefault((slot.variant, slot.machine, slot.clock), slot)
    return list(cells.values())


def _cell(place: Project, experiment: Experiment, slot: Slot, available: int) -> dict[str, Any]:
    variant, machine = place.variant(slot.variant), place.machine(slot.machine)
    need = qemu.footprint(
        machine, variant.memory_model, experiment.taken(slot.cell, machine.memory)
    )
    line = qemu.CommandLine(
        machine,
        Path("bzImage"),
        Path("initramfs.cpio"),
        slot.clock,
        "tcg",
        host.find_qemu(),
        (*variant.boot, *experiment.boot, *(guest.words if (guest := experiment.guest) else ())),
        image=image.read(guest.path(place.root), place.cache) if guest else None,
        sockets=False,
    )
    return {
        **dict(zip(("variant", "machine", "clock"), slot.cell, strict=True)),
        "memory_bytes": machine.memory,
        "host_memory_bytes": need.total,
        "seconds_about": round(qemu.boot_seconds(need, slot.clock, bool(guest)), 1),
        "fits": need.total <= available,
        "argv": qemu.render(line),
    }


def _unbuilt(place: Project, experiment: Experiment) -> list[str]:
    """Variants whose kernel is not in the store; all of them where that cannot be told."""
    store = Kernels(place, lambda text: None)
    missing = []
    for name in dict.fromkeys(map(definition, experiment.variants)):
        try:
            known = store.known(fit(place, experiment, place.variant(name)))
        except HarnessError:
            known = None
        if known is None:
            missing.append(name)
    return missing
