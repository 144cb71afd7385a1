# SPDX-License-Identifier: GPL-2.0-only
"""``harness patches``: does every prefix of every series apply, build and pass checkpatch?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    print_json,
    print_table,
    project,
)
from harness.errors import UserError
from harness.files import write_atomic
from harness.kernel import Kernels, Record, SeriesReport, check
from harness.report import Table

HEAD = (
    *("series", "patches", "files", "lines", "promised", "prefixes that build"),
    *("new warnings", "checkpatch"),
)


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Applies each prefix of the named series (default: all that variants name and"
        " that are made for the base) behind the series that come before it, without fuzz;"
        " compiles all that it touches and what includes it; runs the base's checkpatch.pl"
        " --strict; counts lines. What is known is not built again. Exit status 1 where a prefix"
        " does not apply or build, brings a warning, or where checkpatch says what the series does"
        " not answer."
    )
    parser.add_argument("series", nargs="*", metavar="SERIES", help="folders of kernel-patches/")
    add_base(parser)
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="parallel jobs (default: one a CPU)"
    )
    parser.add_argument(
        "--write", action="store_true", help="keep what was found, for tools/doc-tables"
    )
    add_json(parser)
    add_examples(
        parser,
        "harness patches zero-check   # one series",
        "harness patches --write      # all, kept for the table of kernel-patches/README.md",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Checks and shows."""
    if arguments.write and arguments.series:
        raise UserError("--write keeps what was found in all series; name none")
    place = project(arguments)
    kernels = Kernels(place, arguments.jobs, arguments.base)
    record = check.check(kernels, check.subjects_on(place, kernels.asked, arguments.series))
    if arguments.write:
        file = place.patches / check.RECORDS / f"{kernels.asked.name}.json"
        write_atomic(file, record.model_dump_json(indent=1) + "\n")
    if arguments.json:
        print_json(record.model_dump(mode="json"))
    else:
        print_table(table(record))
    return int(any(found.problems for found in record.series))


def table(record: Record) -> Table:
    """A row for each series, and what they were built with."""
    rows = [_row(found) for found in record.series]
    return Table(HEAD, rows, notes=(f"Linux {record.base}; {record.toolchain}.",))


def _row(found: SeriesReport) -> Sequence[str]:
    built = sum(prefix.built for prefix in found.prefixes)
    complaints = [complaint for prefix in found.prefixes for complaint in prefix.complaints]
    unanswered = sum(complaint.answer is None for complaint in complaints)
    answered = len(complaints) - unanswered
    words = [f"{unanswered} open"] * bool(unanswered) + [f"{answered} answered"] * bool(answered)
    return (
        found.series,
        str(found.patches),
        str(found.files),
        f"+{found.added} -{found.removed}",
        _promise(found),
        f"{built} of {found.patches}",
        str(sum(len(prefix.warnings) for prefix in found.prefixes)),
        ", ".join(words) or "clean",
    )


def _promise(found: SeriesReport) -> str:
    if found.promise is None:
        return ""
    over = found.added - found.promise
    return f"{found.promise}: {f'{over} over' if over > 0 else 'kept'}"
