# SPDX-License-Identifier: GPL-2.0-only
"""``harness compare``: what a dataset says against its baseline, in verdicts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.collate import find_tables
from harness.cli.terminal import add_examples, add_json, figure, out, print_json, print_table
from harness.errors import UserError
from harness.units import parse_size

if TYPE_CHECKING:
    from harness.compare import CompareOptions, Comparison
    from harness.dataset import Dataset


FAILURES = ("regressed", "suspect")


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Compares every variant with the baseline of the dataset, block by block, or"
        " with another dataset. Noisy figures get an interval and a test, instructions are"
        " compared exactly. Exit status 1 when repeats of the work clock differ, which is a"
        " defect, or where --fail-on finds what it names; else 0, whatever was found."
    )
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="a results folder, or the one above: its newest"
    )
    parser.add_argument("--baseline", metavar="NAME", help="default: that of the experiment")
    parser.add_argument(
        "--against", metavar="DIR", type=Path, help="compare each variant with itself there"
    )
    parser.add_argument(
        "--metric", metavar="NAME", action="append", default=[], help="only these; may be repeated"
    )
    _interest(parser)
    add_json(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print tables for a cover letter")
    form.add_argument("--csv", action="store_true", help="print one row for each question")
    parser.add_argument(
        "--fail-on", metavar="WHAT", choices=FAILURES, action="append", default=[],
        help="exit status 1 where something has: regressed (slower, more, fails more, does not"
        " boot, instructions by more than --percent), or is suspect",
    )  # fmt: skip
    add_examples(
        parser,
        "harness compare results/quick                         # all phases, all variants",
        "harness compare results/quick --metric memmap_init --markdown",
        "harness compare results/new --against results/old --fail-on regressed",
    )
    parser.set_defaults(action=compare)


def _interest(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("smallest effect of interest: both have to be exceeded")
    group.add_argument("--percent", metavar="N", type=figure, default=2.0, help="default: 2")
    group.add_argument("--ms", metavar="N", type=figure, default=5.0, help="default: 5")
    group.add_argument("--bytes", metavar="SIZE", default="16MiB", help="memory; default: 16MiB")


def compare(arguments: argparse.Namespace) -> int:
    """Reads, compares, prints."""
    from harness.compare import compare_variants as compare_datasets
    from harness.compare import regressions
    from harness.dataset import dataset as analysis

    if arguments.json and (arguments.markdown or arguments.csv):
        raise UserError("one of --json, --markdown and --csv", where="harness compare")
    options = _options(arguments)
    folder = find_tables(arguments.folder)
    dataset = analysis.load_observed(folder)
    against = analysis.load_observed(find_tables(arguments.against)) if arguments.against else None
    found = compare_datasets(dataset, options, against)
    _show(arguments, found, dataset, folder)
    failed = bool(found.defects)
    failed |= "regressed" in arguments.fail_on and any(True for _ in regressions(found))
    failed |= "suspect" in arguments.fail_on and bool(found.suspects)
    return int(failed)


def _options(arguments: argparse.Namespace) -> CompareOptions:
    from harness.compare import CompareOptions

    try:
        size = parse_size(arguments.bytes)
    except ValueError as error:
        raise UserError(str(error), where="--bytes") from None
    return CompareOptions(
        arguments.baseline,
        tuple(arguments.metric),
        arguments.percent / 100,
        arguments.ms / 1000,
        size,
    )


def _show(arguments: argparse.Namespace, found: Comparison, dataset: Dataset, folder: Path) -> None:
    from harness.compare import COLUMNS, document, rows, stopping
    from harness.dataset import frame, to_csv
    from harness.report import cover_letter, looked, tables

    kept, damage = stopping.read(folder)
    if arguments.json:
        print_json(document(found) | {"looks": [look.model_dump(mode="json") for look in kept]})
    elif arguments.csv:
        sys.stdout.write(to_csv(frame(rows(found), COLUMNS)).decode())
    elif arguments.markdown:
        sys.stdout.write(cover_letter(found, dataset, looked(kept, damage)))
    else:
        memory = dataset.runs["memory_bytes"].dropna()
        largest = int(memory.max()) if len(memory) else None
        for table in (*tables(found, largest), *looked(kept, damage)):
            out.print()
            print_table(table)
