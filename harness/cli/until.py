# SPDX-License-Identifier: GPL-2.0-only
"""``harness run --until``: blocks until the intervals are narrow."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness.cli.screen import Log
from harness.errors import UserError
from harness.experiment import Experiment
from harness.results import Results


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
    from harness import looks, series

    looks.parse_width(arguments.until)
    list(looks.schedule(experiment))
    if arguments.clock == "work":
        raise UserError("the work clock has no noise to wait for", where="--until, --clock work")
    if arguments.metric not in series.NAMES:
        names = ", ".join(series.NAMES)
        where, what = "--metric", f"no metric called {arguments.metric!r}"
        raise UserError(what, where=where, remedy=f"there are: {names}")


def go_on(
    arguments: argparse.Namespace,
    experiment: Experiment,
    results: Results,
    boot: Callable[[int, bool], int],
    log: Log,
) -> tuple[int, list[str]]:
    """Boots up to each look in turn; answers how many boots went wrong, and what was seen.

    `boot` boots what is missing up to so many blocks of the time clock; it is told the first time.
    """
    from harness import dataset, looks

    failed, wanted = 0, looks.parse_width(arguments.until)
    said: list[str] = []
    for blocks in looks.schedule(experiment):
        failed = boot(blocks, not said)
        seen = looks.look(dataset.collate(results), experiment, arguments.metric, wanted, blocks)
        looks.keep(results.path, seen)
        said.append(f"{seen}: {'reached' if seen.reached else 'not reached'}")
        log(said[-1])
        if seen.reached or not seen.widths:
            break
    return failed, said
