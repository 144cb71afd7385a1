# SPDX-License-Identifier: GPL-2.0-only
"""``harness nightly``: the newest base, a fixed experiment, the history, and what changed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli import parser
from harness.cli.run import BootLines
from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    figure,
    out,
    print_json,
    print_table,
    project,
)
from harness.errors import HarnessError, UserError
from harness.nightly import prune as pruning
from harness.units import format_size, parse_size

if TYPE_CHECKING:
    from harness.nightly import Bisection, Board, Reported, Tolerance


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Gets the newest base that there is, boots the experiment, adds the"
        " night to the history and writes JUnit, KTAP, Markdown, CSV and a dashboard to"
        " DIR/reports/DATE. A night that is in the history already is only reported again. Exit"
        " status 1 when something regressed or a boot failed, 2 when the host or the input was at"
        " fault, else 0. See docs/nightly.md."
    )
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", type=Path, nargs="?", default=Path("nightly"),
        help="name in experiments/, or a YAML file (default: nightly)",
    )  # fmt: skip
    parser.add_argument(
        "--folder", metavar="DIR", type=Path, default=Path("results/nightly"),
        help="history, evidence and reports (default: results/nightly)",
    )  # fmt: skip
    parser.add_argument(
        "--date", metavar="DATE", type=date.fromisoformat, help="its name (default: today, UTC)"
    )
    add_base(parser)
    parser.add_argument(
        "--no-update", action="store_true", help="do not renew apt's lists before asking for a base"
    )
    parser.add_argument(
        "--report", action="store_true", help="boot nothing: report the newest night again"
    )
    parser.add_argument(
        "--bisect", action="store_true",
        help="run down what regressed tonight, to the patch or the commit",
    )  # fmt: skip
    parser.add_argument(
        "--tree", metavar="DIR", type=Path,
        help="--bisect: a kernel tree that has both bases, where the base changed",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="boot even what may not fit")
    add_json(parser)
    _tolerance(parser)
    _prune_options(parser)
    add_examples(
        parser,
        "harness nightly                          # tonight",
        "harness nightly --date 2026-11-24        # under a date of your choice",
        "harness nightly --report                 # the newest night once more, without a boot",
        "harness nightly --report --bisect        # and find the patch behind what regressed",
        "harness nightly --prune --days 90 --size 20GiB",
    )
    parser.set_defaults(action=run)


def _tolerance(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is a regression; both parts have to be exceeded")
    group.add_argument(
        "--exact-percent",
        default=1.0,
        metavar="N",
        type=figure,
        help="of instructions, and 10,000 of them (default: 1)",
    )
    group.add_argument(
        "--percent",
        default=2.0,
        metavar="N",
        type=figure,
        help="of seconds and memory (default: 2)",
    )
    group.add_argument(
        "--ms", default=5.0, metavar="N", type=figure, help="of seconds (default: 5)"
    )


def _prune_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pruning; the history and the last two nights always stay")
    group.add_argument(
        "--prune", action="store_true", help="boot nothing: remove evidence and reports of nights"
    )
    group.add_argument("--days", metavar="N", type=int, help="those older than this")
    group.add_argument("--size", metavar="SIZE", help="the oldest, until the rest takes no more")


def run(arguments: argparse.Namespace) -> int:
    """One night, from the base to the exit status."""
    if arguments.prune:
        return prune(arguments)
    from harness.nightly import report_night, run_night

    tolerance = _tolerance_of(arguments)
    find = _bisect(arguments) if arguments.bisect else None
    if arguments.report:
        reported = report_night(arguments.folder, tolerance, find)
    else:
        place = project(arguments)
        reported = run_night(
            place,
            place.experiment(arguments.experiment),
            arguments.folder,
            tolerance,
            day=arguments.date,
            update=not arguments.no_update,
            base=arguments.base,
            force=arguments.force,
            on_event=BootLines(),
            bisect=find,
        )
    _show(reported, arguments.json)
    return reported.board.status


def _bisect(arguments: argparse.Namespace) -> Callable[[Bisection], str]:
    """Runs the command line that a bisection is, with boots beside those of the nights."""
    from harness.cli import bisect  # pandas and scipy: half a second

    def run_down(asked: Bisection) -> str:
        if asked.in_tree and not arguments.tree:
            return f"{asked.command()} (--bisect needs --tree)"
        words = ["bisect", *asked.words, "--results", str(arguments.folder / "bisect")]
        if asked.in_tree:
            words += ["--tree", str(arguments.tree)]
        try:
            hunt = bisect.hunt(parser(["bisect"]).parse_args(words), project(arguments))
            suspects = hunt.run()
            return "; ".join(filter(None, (hunt.said(suspects), hunt.explained(suspects))))
        except HarnessError as error:
            return f"{asked.command()}: {error.what}"

    return run_down


def _tolerance_of(arguments: argparse.Namespace) -> Tolerance:
    from harness.compare import CompareOptions as Noisy
    from harness.compare import Interest
    from harness.nightly import EXACT, Tolerance

    exact = Interest(arguments.exact_percent / 100, EXACT.amount)
    return Tolerance(exact, Noisy(part=arguments.percent / 100, seconds=arguments.ms / 1000))


def _show(reported: Reported, as_json: bool) -> None:
    from harness.nightly import FILES, WORDS, below, changed, culprits, notes

    board, folder = reported.board, reported.folder
    if as_json:
        print_json(_answer(board, folder))
        return
    print_table(changed(board.telling))
    if left := below(board):
        out.print(f"{left} in {folder / FILES[0]}", markup=False)
    print_table(culprits(board))
    for note in notes(board.nights):
        out.print(note, markup=False)
    night = board.night
    out.print(f"night {night.number}, {night.day}, base {night.base}: {board.counts}", markup=False)
    out.print(f"{WORDS[board.status]}; report: {folder / FILES[0]}", markup=False)


def _answer(board: Board, folder: Path) -> dict[str, Any]:
    """What --json prints."""
    return {
        "number": board.night.number,
        "date": str(board.night.day),
        "status": board.status,
        "counts": asdict(board.counts),
        "changes": [asdict(change) for change in board.tonight],
        "bisections": [
            {
                **{key: getattr(each, key) for key in ("variant", "machine", "figure", "why")},
                "command": each.command() or None,
                "found": board.answers.get(each.command()),
            }
            for each in board.bisections
        ],
        "report": str(folder),
        "damaged": [f"{item.path}: {item.reason}" for item in board.damage],
    }


def prune(arguments: argparse.Namespace) -> int:
    """Gives back disk; says what went."""
    if arguments.days is None and arguments.size is None:
        raise UserError("name --days, --size or both", where="--prune")
    try:
        size = parse_size(arguments.size) if arguments.size else None
    except ValueError as error:
        raise UserError(str(error), where="--size") from None
    today = datetime.now(UTC).date()
    chosen, left = pruning.prune(arguments.folder, today, arguments.days, size)
    gone = sum(leaf.size for leaf in chosen)
    if arguments.json:
        print_json({"removed": [str(leaf.path) for leaf in chosen], "bytes": gone})
    else:
        for leaf in chosen:
            out.print(f"removed {leaf.path} ({format_size(leaf.size)})", markup=False)
        given = f"{format_size(gone)} given back; {format_size(left)} left"
        out.print(f"{len(chosen)} folders, {given}", markup=False)
    return 0
