# SPDX-License-Identifier: GPL-2.0-only
"""``harness export``: a dataset in the form that another tracker takes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.cli.collate import find_tables
from harness.cli.terminal import add_examples
from harness.errors import UserError


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    from harness.export import FORMS

    told = "; ".join(f"{name}: {about}" for name, about in FORMS.items())
    parser.description = (
        "Writes the medians, or the figures of each boot, and how boots ended, in the form and the"
        f" units of another tracker. Nothing is sent. {told}. See docs/export.md."
    )
    parser.add_argument(
        "folder", metavar="DATASET", type=Path, help="a results folder, or the one above: newest"
    )
    parser.add_argument("--format", required=True, choices=sorted(FORMS), help="of the output")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="default: standard output"
    )
    add_examples(
        parser,
        "harness export results/quick --format bmf -o bmf.json",
        "harness export results/quick --format openmetrics -o textfile/pageinit.prom",
        "harness export results/quick --format parquet -o figures.parquet",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Reads the tables, writes the form."""
    from harness.dataset import dataset
    from harness.export import BINARY, export
    from harness.files import write_atomic

    if arguments.format in BINARY and not arguments.output and sys.stdout.isatty():
        raise UserError("is no text for a terminal", where=arguments.format, remedy="name -o FILE")
    data = export(dataset.load(find_tables(arguments.folder)), arguments.format)
    if arguments.output:
        write_atomic(arguments.output, data)
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    return 0
