# SPDX-License-Identifier: GPL-2.0-only
"""``harness run``: every boot of an experiment, then its dataset and report."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.setup.hosts import add_hosts, executor_of
from harness.cli.terminal import (
    add_base,
    add_examples,
    add_instrument,
    add_json,
    add_testcases,
    out,
    print_json,
    print_table,
    project,
    write_testcases,
)
from harness.errors import UserError
from harness.model import COUNTED, Experiment, Instrument
from harness.run import Event, Ran, RunOptions, Session, Steps, run_experiment, whole
from harness.text import clean

if TYPE_CHECKING:
    from harness.dataset import Dataset

log = logging.getLogger(__name__)


def add_until(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--until",
        metavar="WIDTH",
        help="add blocks of the time clock until every 95%% interval of --metric is within WIDTH,"
        " as 2%%, of the effect; looked at after 6, 12, 24 and 48 blocks, at no other time",
    )
    parser.add_argument(
        "--metric", metavar="NAME", default="boot", help="what --until looks at (default: boot)"
    )


def check(arguments: argparse.Namespace, experiment: Experiment) -> None:
    """Raises `UserError` before the first boot where it could only come after many."""
    from harness.compare import series, stopping

    stopping.parse_width(arguments.until)
    list(stopping.schedule(experiment))
    if arguments.clock == "work":
        raise UserError("the work clock has no noise to wait for", where="--until, --clock work")
    if arguments.metric not in series.NAMES:
        names = ", ".join(series.NAMES)
        where, what = "--metric", f"no metric called {arguments.metric!r}"
        raise UserError(what, where=where, remedy=f"there are: {names}")


def steps_of(arguments: argparse.Namespace, tell: Callable[[str], None]) -> Steps:
    """Blocks up to each look in turn, where --until is given; `tell` hears what was seen."""
    if not arguments.until:
        return whole
    from harness.compare import stopping

    def say(seen: stopping.Look) -> None:
        tell(f"{seen}: {'reached' if seen.reached else 'not reached'}")

    return stopping.until(arguments.metric, stopping.parse_width(arguments.until), say)


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Builds what is not built, boots what is not booted, and writes dataset and"
        " report to DIR/NAME/TIME-HASH. The hash stands for all that the experiment resolves to:"
        " the next start with the same one goes on where this one was interrupted. Exit status 1"
        " when a boot went wrong, which is a row of the dataset all the same; 2 when the input of"
        " a variant is wrong."
    )
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", type=Path, help="name in experiments/, or a YAML file"
    )
    add_base(parser)
    add_instrument(parser)
    add_json(parser)
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
    add_testcases(parser)
    add_examples(
        parser,
        "harness run quick             # experiments/quick.yaml; again: goes on where it was",
        "harness run mine.yaml --results /data --retry",
        "harness run quick --base 7.3  # the same on another kernel source",
        "harness run quick --until 2% --metric memmap_init",
    )
    parser.set_defaults(action=run)


def instrumented(experiment: Experiment, instrument: Instrument) -> Experiment:
    """The experiment with one instrument for all; raises `UserError` where it cannot be had."""
    if instrument in COUNTED and "work" not in experiment.clocks:
        raise UserError(
            "functions are counted on the work clock alone, and nothing here boots by it",
            where=f"--instrument {instrument}",
        )
    return experiment.with_instrument(instrument)


def run(arguments: argparse.Namespace) -> int:
    """The whole loop."""
    place = project(arguments)
    experiment = place.experiment(arguments.experiment, arguments.base)
    if arguments.instrument:
        experiment = instrumented(experiment, arguments.instrument)
    executor = executor_of(arguments)
    if arguments.until:
        check(arguments, experiment)
    options = RunOptions(
        arguments.results, arguments.fresh, arguments.retry, arguments.force, arguments.clock
    )
    looks: list[str] = []

    def look(text: str) -> None:
        looks.append(text)
        log.info(text)

    ran = run_experiment(
        place,
        experiment,
        options,
        steps=steps_of(arguments, look),
        executor=executor,
        on_event=BootLines(),
    )
    from harness.report import render  # pandas and scipy: half a second

    found = render.publish(ran.results)
    from harness.report import testcases

    write_testcases(arguments, ran.session.experiment.name, testcases.boots(found))
    differ = [str(mismatch) for mismatch in found.repeats.mismatches]
    failed = len(ran.wrong)
    if arguments.json:
        said = {"failed": failed, "not_the_same": differ} | ({"looks": looks} if looks else {})
        print_json({"results": str(ran.results.path), **said})
    else:
        _tell(ran, found, differ)
    return status(ran.session, failed + len(differ))


def _tell(ran: Ran, found: Dataset, differ: Sequence[str]) -> None:
    from harness.report import render

    folder = ran.results.path
    title = f"{ran.session.experiment.name}: medians"
    print_table(replace(render.headline(found), title=title))
    for caveat in render.caveats(found):
        out.print(caveat, markup=False)
    out.print()
    for sentence in render.concluded(found):
        out.print(sentence, markup=False)
    out.print(f"\ndataset: {folder}\nreport:  {folder / 'report.html'}", markup=False)
    for mismatch in differ:
        out.print(f"NOT THE SAME: {mismatch}", markup=False)
    damaged = [item.said(folder) for item in found.damage]
    for text in dict.fromkeys((*damaged, *map(str, ran.unread))):
        out.print(clean(f"DAMAGED: {text}"), markup=False)
    if ran.wrong:
        out.print(f"{len(ran.wrong)} boot(s) went wrong; see the report", markup=False)


def status(session: Session, failed: int) -> int:
    """2 where the input of a variant was wrong, 1 where a boot went wrong, else 0."""
    return 2 if session.misfits else int(failed > 0)


class BootLines:
    """A line for each boot, with the time that is probably left."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Says what begins or has ended."""
        slot, record = event.slot, event.run
        name = f"[{event.number}/{event.total}] {slot.variant} {slot.machine} {slot.clock}"
        name += " warm-up" if slot.warmup else f" block {slot.block}"
        if event.waits:
            log.info(f"{name} {event.waits}")
            return
        if record is None:
            if event.number == 1:  # of this step
                self._start = time.monotonic()
            log.info(f"{name} ...")
            return
        left = (time.monotonic() - self._start) / event.past_s * event.left_s
        reason = f" ({record.judgement.reason})" if record.judgement.reason else ""
        outcome = f"{record.judgement.outcome}{reason} in {record.ending.wall_s:.1f} s"
        log.info(f"{name} {outcome}; about {left / 60:.0f} min left")
