# SPDX-License-Identifier: GPL-2.0-only
"""``harness parse``: what a boot log says, ours or not."""

from __future__ import annotations

import argparse
import gzip
import lzma
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cli.terminal import add_examples, add_json, print_json, print_table
from harness.errors import UserError
from harness.model import GOOD
from harness.parse import outcome
from harness.report import Table
from harness.text import clean

MAX_BYTES = 1 << 30


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Reads a boot log (serial console or dmesg, plain, .gz or .xz; - is standard"
        " input) of any kernel. Exit status 1 when the boot it shows went wrong."
    )
    parser.add_argument("file", metavar="FILE", help="a log; - is standard input")
    add_json(parser)
    add_examples(
        parser,
        "harness parse console.log.xz            # a log of any kernel, ours or not",
        "dmesg | harness parse -                 # the boot of this host",
        "harness parse console.log --json        # for scripts",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Parses one file."""
    found = outcome.report(read(arguments.file))
    if arguments.json:
        print_json(found)
    else:
        show(found)
    return 0 if found["outcome"] in GOOD else 1


def read(name: str) -> bytes:
    """The bytes of a log, decompressed."""
    if name == "-":
        return sys.stdin.buffer.read(MAX_BYTES)
    path = Path(name)
    try:
        if path.suffix in (".gz", ".xz"):
            opener = gzip.open if path.suffix == ".gz" else lzma.open
            with opener(path, "rb") as file:
                return bytes(file.read(MAX_BYTES))
        with path.open("rb") as plain:
            return plain.read(MAX_BYTES)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UserError(f"cannot read: {error}", where=name) from None


def show(found: dict[str, Any]) -> None:
    """Prints a report for people."""
    seconds = found["last_stamp_s"]
    for name, value in (
        ("outcome", found["outcome"] + (f": {found['reason']}" if found["reason"] else "")),
        ("banner", found["banner"]),
        ("command line", found["command_line"]),
        ("last stamp", "unknown" if seconds is None else f"{seconds:.6f} s"),
        ("missing", ", ".join(found["missing"])),
    ):
        if value:
            print(f"{name + ':':14}{clean(str(value))}")
    phase_table(found["phases"])
    for line in found["excerpt"]:
        print(f"  | {clean(line)}")


def phase_table(phases: Sequence[Mapping[str, Any]]) -> None:
    """Prints phases; those of the work clock are in instructions, all others in seconds."""
    head, rows = ["phase", "node", "source", "start", "end", "duration", "pages"], []
    for phase in phases:
        node, pages = phase.get("node"), phase.get("pages")
        times = (phase["start"], phase["end"], phase["end"] - phase["start"])
        whole = all(value == int(value) for value in times) and phase["end"] > 0
        rows.append(
            [
                phase["name"],
                "" if node is None else str(node),
                phase["source"],
                *(f"{value:,.0f}" if whole else f"{value:.6f}" for value in times),
                "" if pages is None else f"{pages:,}",
            ]
        )
    print_table(Table(head, rows, left=2))
