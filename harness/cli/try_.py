# SPDX-License-Identifier: GPL-2.0-only
"""``harness try``: from a posted series to a verdict."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.run import BootLines, add_until, steps_of
from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    add_testcases,
    out,
    print_json,
    project,
    write_testcases,
)
from harness.errors import UserError
from harness.text import clean, one_line

if TYPE_CHECKING:
    from harness.report.testcases import Case
    from harness.review import Review


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Applies a series as it was posted, builds the kernel with it and without, boots both by"
        " the work clock on two sizes of machine, and says what changed: in words, and as a table"
        " fit for a mail (reply.txt). All of it is kept as an ordinary project and experiment"
        " below --results; the checkout is not touched, and the same again costs no boot. Exit"
        " status: 0 better or no difference, 1 worse, broken or mixed, 2 the series does not apply,"
        " or what is wrong with the host."
    )
    parser.add_argument(
        "what", metavar="WHAT",
        help="an mbox, a mail, a diff, a folder of patches, a maildir, - (standard input),"
        " a Message-ID or an address of lore (with b4), or a git TREE",
    )  # fmt: skip
    parser.add_argument("range", nargs="?", metavar="A..B", help="commits of TREE, or a branch")
    parser.add_argument(
        "--like", default="deferred", metavar="VARIANT",
        help="what it is put on top of, and compared with (default: deferred)",
    )  # fmt: skip
    parser.add_argument(
        "--machine", action="append", metavar="NAME",
        help="a machine of qemu-configs/; again for another (default: quad-4g and quad-16g)",
    )  # fmt: skip
    add_base(parser)
    parser.add_argument("--quick", action="store_true", help="the first machine alone")
    parser.add_argument("--gate", action="store_true", help="prove the kernel correct before")
    parser.add_argument(
        "--blocks", type=int, default=0, metavar="N", help="of the time clock too (default: none)"
    )
    add_until(parser)
    add_testcases(parser)
    kept = Path("results")
    parser.add_argument("--results", metavar="DIR", type=Path, default=kept, help="for its boots")
    add_json(parser)
    add_examples(
        parser,
        "harness try series.mbox                 # a thread saved from a mail reader",
        "git format-patch --stdout v6.12.. | harness try - --gate",
        "harness try ~/linux v6.12..mine --machine quad-64g --blocks 12",
    )
    parser.set_defaults(action=run)


def _cases(seen: Review) -> list[Case]:
    """The verdict as a case of its own."""
    from harness.report.testcases import Case
    from harness.review import sentences

    good = seen.word in ("better", "no difference")
    text = f"{seen.word}: {' '.join(sentences(seen))}"
    return [Case("try", "verdict", "pass" if good else "fail", one_line(text, 500) or "")]


def run(arguments: argparse.Namespace) -> int:
    """Reads, lays out, boots, and says what became of it."""
    from harness import review
    from harness.compare import document
    from harness.report import testcases

    words = [arguments.what, *([arguments.range] if arguments.range else [])]
    if arguments.blocks < 0:
        raise UserError("less than no block", where="--blocks")
    machines = tuple(dict.fromkeys(arguments.machine or review.MACHINES))
    place, blocks = project(arguments), arguments.blocks or (1 if arguments.until else 0)
    chosen = machines[:1] if arguments.quick else machines
    plan = review.Plan(arguments.like, chosen, blocks, place.chosen(arguments.base))
    posting = review.gather(words, sys.stdin.buffer.read)
    seen = review.review(
        place,
        posting,
        plan,
        arguments.results,
        gate=arguments.gate,
        steps=steps_of(arguments, lambda text: None),
        on_event=BootLines(),
    )
    cases = testcases.checks(seen.gate.checks) if seen.gate else []
    write_testcases(arguments, "try", [*cases, *testcases.boots(seen.dataset), *_cases(seen)])
    folder = seen.ran.results.path
    if arguments.json:
        about = {"series": posting.subject, "verdict": seen.word, "results": str(folder)}
        said = {"sentences": review.sentences(seen), "comparison": document(seen.comparison)}
        print_json(about | said)
    else:
        out.print(clean((folder / review.REPLY).read_text()), markup=False, soft_wrap=True)
        out.print(f"reply:   {folder / review.REPLY}", markup=False)
        out.print(f"report:  {folder / 'report.html'}", markup=False)
    return int(seen.word in ("broken", "worse", "mixed"))
