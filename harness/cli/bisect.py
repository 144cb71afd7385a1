# SPDX-License-Identifier: GPL-2.0-only
"""``harness bisect``: which patch of a series, or which commit, moved a figure?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bisect import STATUS, Threshold
from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    out,
    print_json,
    print_table,
    project,
)
from harness.errors import UserError
from harness.report import Table

if TYPE_CHECKING:
    from harness.bisect import Hunt, Question
    from harness.project import Project


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Builds and boots prefixes of a series, or commits of a kernel tree, by the"
        " work clock: one build and one boot each, kept for the next start. Exit status 0 when"
        " one patch or commit is to blame, 1 when it cannot be told, or nothing moved, 2 usage or"
        " infrastructure. `harness bisect step` measures one commit and answers what `git bisect"
        " run` asks: 0 good, 1 bad, 125 does not build or boot, 255 give up."
    )
    parser.add_argument(
        "step", nargs="?", choices=["step"], help="only HEAD of --tree, for `git bisect run`"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--series", metavar="NAME", help="a folder of kernel-patches/")
    what.add_argument("--range", metavar="GOOD..BAD", help="commits of --tree, by first parents")
    here, kept = Path(), Path("results")
    parser.add_argument("--tree", metavar="DIR", type=Path, default=here, help="a kernel tree")
    parser.add_argument(
        "--good", metavar="NAME",
        help="--series: its last patch that is good; step: the commit that a factor refers to",
    )  # fmt: skip
    parser.add_argument(
        "--variant", metavar="NAME",
        help="configuration, boot parameters and series (default: --series' namesake, or eager)",
    )  # fmt: skip
    parser.add_argument("--machine", metavar="NAME", required=True, help="in qemu-configs/")
    parser.add_argument("--metric", metavar="NAME", required=True, help="as of `harness compare`")
    add_base(parser)
    parser.add_argument(
        "--newest", action="store_true", help="past the pins of the base, as `harness nightly` goes"
    )
    limit = parser.add_mutually_exclusive_group(required=True)
    limit.add_argument("--above", metavar="N", help="bad is above: 1.1x, 10%%, or a value")
    limit.add_argument("--below", metavar="N", help="bad is below: 0.9x, 10%%, or a value")
    limit.add_argument("--fails", action="store_true", help="bad is a boot that does not end well")
    parser.add_argument("--results", metavar="DIR", type=Path, default=kept, help="for its boots")
    parser.add_argument(
        "--explain", action="store_true",
        help="name the functions that make it so: two more boots, with a profile",
    )  # fmt: skip
    add_json(parser)
    common = "--machine tiny-2g --metric memmap_init"
    add_examples(
        parser,
        f"harness bisect --series lazy {common} --below 0.5x",
        f"harness bisect --range v6.12..HEAD --tree ~/linux {common} --above 10%",
        f"git bisect run harness --root CHECKOUT bisect step {common} --above 120000000",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """A whole bisection, or one step of git's."""
    if arguments.step:
        return _step(arguments)
    if not (arguments.series or arguments.range):
        raise UserError("name --series or --range", where="harness bisect")
    search = hunt(arguments, project(arguments))
    suspects = search.run()
    why = search.explained(suspects) if arguments.explain else ""
    return _report(arguments, search, suspects, why)


def hunt(arguments: argparse.Namespace, place: Project) -> Hunt:
    """The bisection that a command line asks for."""
    from harness.bisect import by_range, by_series

    question, threshold = _question(arguments, place), _threshold(arguments)
    if arguments.series:
        return by_series(question, threshold, arguments.series, arguments.good or "")
    return by_range(question, threshold, arguments.range, arguments.tree)


def _report(arguments: argparse.Namespace, hunt: Hunt, suspects: range, why: str) -> int:
    names = {n: hunt.trials[n].point.name if n in hunt.trials else str(n) for n in suspects}
    tried: list[dict[str, Any]] = []
    for index, trial in sorted(hunt.trials.items()):
        word = "first bad" if list(suspects) == [index] else hunt.verdicts[index]
        about = {"index": index, "point": trial.point.name, "value": trial.value}
        tried.append(about | {"verdict": word, "why": trial.reason})
    if arguments.json:
        more = {"explanation": why} if why else {}
        print_json({"suspects": list(names.values()), "tried": tried} | more)
    else:
        head = ("index", "point", arguments.metric, "verdict", "why")
        values = [f"{each['value']:,.0f}" if each["value"] is not None else "" for each in tried]
        rows = [
            [str(each["index"]), each["point"], value, each["verdict"], each["why"]]
            for each, value in zip(tried, values, strict=True)
        ]
        title = f"{arguments.metric} on {arguments.machine}, by the work clock"
        print_table(Table(head, rows, title, 2))
        out.print(hunt.said(suspects), markup=False)
        if why:
            out.print(why, markup=False)
    return int(len(suspects) != 1)


def _question(arguments: argparse.Namespace, place: Project) -> Question:
    from harness.bisect import Question

    place.machine(arguments.machine)
    variant = place.variant(arguments.variant or arguments.series or "eager")
    base = place.chosen(arguments.base)
    asked = (arguments.machine, arguments.metric, arguments.results, base, arguments.newest)
    return Question(place, variant, *asked)


def _threshold(arguments: argparse.Namespace) -> Threshold:
    if arguments.fails:
        return Threshold(fails=True)
    above = arguments.above is not None
    where = "--above" if above else "--below"
    return Threshold.parse(arguments.above or arguments.below, above, where)


def _step(arguments: argparse.Namespace) -> int:
    """One commit for `git bisect run`."""
    from harness.bisect import CommitRange, step

    question = _question(arguments, project(arguments))
    line = CommitRange.open(arguments.tree, question.project.cache)
    trial, verdict = step(question, _threshold(arguments), line, arguments.good)
    out.print(f"{verdict}: {trial.point.name}: {arguments.metric} {trial}", markup=False)
    return STATUS[verdict]
