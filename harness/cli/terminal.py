# SPDX-License-Identifier: GPL-2.0-only
"""What the subcommands share: where things are, and how to talk to a person or to a script."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.text import clean

if TYPE_CHECKING:
    from harness.project import Project

# Results go to standard output, everything about the way there to standard error.
# Without a terminal tables are as wide as they need to be.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def project(arguments: argparse.Namespace) -> Project:
    """The checkout and cache that the arguments or the surroundings name."""
    from harness.project import Project, cache_folder  # all models: not for `harness parse`

    cache = Path(arguments.cache) if arguments.cache else cache_folder(os.environ)
    start = Path(arguments.root).resolve() if arguments.root else Path.cwd()
    return Project.find(start, cache)


class Log:
    """One line a message, with the seconds since the start; on standard error."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Says `text`."""
        seconds = time.monotonic() - self.start
        err.print(f"[dim]{seconds:7.1f}s[/dim] {escape(clean(text))}")


def add_examples(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Shows command lines below the options, each with what it is for behind a ``#``."""
    parser.epilog = "\n  ".join(["examples:", *lines])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    if parser.description:
        parser.description = textwrap.fill(parser.description, 79, break_on_hyphens=False)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def print_json(value: Any) -> None:
    """Prints one JSON document."""
    sys.stdout.write(json.dumps(value, indent=1, sort_keys=False) + "\n")


def print_table(title: str, rows: Sequence[Sequence[str]], left: int = 2) -> None:
    """Prints rows as a table; the first row is the head, the first `left` columns are words."""
    if not rows:
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, head in enumerate(rows[0]):
        table.add_column(escape(head), justify="left" if index < left else "right", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*(escape(clean(cell)) for cell in row))
    out.print(table)
