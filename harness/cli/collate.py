# SPDX-License-Identifier: GPL-2.0-only
"""``harness collate``: every table and page of a results folder, from its raw evidence."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from harness.cli.terminal import add_examples, add_json, err, out, print_json, print_table
from harness.errors import UserError
from harness.results import Results


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Derives phases, outcomes, CSVs, datapackage.json and both reports again from the raw"
        " logs, compressed or not, and prints the medians. The same evidence gives the same"
        " bytes; a better parser improves old results. run.json and the logs are not changed. What"
        " cannot be read is named and left out; the exit status is 1 then."
    )
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="a results folder, or the one above: its newest"
    )
    add_json(parser)
    add_examples(
        parser,
        "harness collate results/quick                   # the newest dataset there",
        "harness collate results/quick/TIME-HASH --json  # a certain one, for scripts",
    )
    parser.set_defaults(action=collate)


def find(folder: Path) -> Results:
    """The results folder itself, or the newest below; raises `UserError` where there is none."""
    return Results(_newest(folder, "runs", "a folder with runs/"))


def find_tables(folder: Path) -> Path:
    """The folder with runs.csv, or the newest such below: tables are enough to compare."""
    return _newest(folder, "runs.csv", "a folder with the tables that `harness collate` writes")


def _newest(folder: Path, has: str, wanted: str) -> Path:
    if (folder / has).exists():
        return folder
    below = sorted(path.parent for path in folder.glob(f"*/{has}"))
    if not below:
        raise UserError("no results here", where=str(folder), remedy=f"name {wanted}")
    return below[-1]


def collate(arguments: argparse.Namespace) -> int:
    """Derives everything again from the raw evidence."""
    from harness.report import render

    results = find(arguments.folder)
    found = render.publish(results)
    table = render.headline(found)
    if arguments.json:
        print_json([dict(zip(table.head, row, strict=True)) for row in table.rows])
    else:
        print_table(replace(table, title="medians"))
        out.print(f"\ndataset: {results.path}", markup=False)
    for damage in found.damage:
        err.print(f"DAMAGED: {damage.said(results.path)}", markup=False)
    return int(bool(found.damage))
