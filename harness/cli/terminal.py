# SPDX-License-Identifier: GPL-2.0-only
"""What the subcommands share: where things are, and how to talk to a person or to a script."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table as Grid
from rich.text import Text

from harness.model import Instrument
from harness.report import Table
from harness.text import clean

if TYPE_CHECKING:
    from harness.project import Project
    from harness.report.testcases import Case


class Screen(Console):
    """A terminal on which nothing that is printed can do more than be seen."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Pieces of text without what a terminal obeys, but for what rich itself has it do."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else clean(text), style, control)

    def on_broken_pipe(self) -> None:
        """Leaves it to `main`, for which a reader who has gone is the same wherever it is seen."""
        raise BrokenPipeError


# Results go to standard output, everything about the way there to standard error.
# Without a terminal tables are as wide as they need to be.
out = Screen(highlight=False, width=None if sys.stdout.isatty() else 240)
err = Screen(stderr=True, highlight=False, soft_wrap=True)


def project(arguments: argparse.Namespace) -> Project:
    """The checkout and cache that the arguments or the surroundings name."""
    from harness.project import Project, cache_folder  # all models: not for `harness parse`

    cache = Path(arguments.cache) if arguments.cache else cache_folder(os.environ)
    start = Path(arguments.root).resolve() if arguments.root else Path.cwd()
    return Project.find(start, cache, shipped=not arguments.root)


class _OnTerminal(logging.Handler):
    """One line a message, with the seconds since the start; on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        seconds = Text(f"{record.relativeCreated / 1000:7.1f}s ", "dim")
        style = "yellow" if record.levelno >= logging.WARNING else ""
        err.print(seconds, Text(clean(record.getMessage()), style), sep="")


def show_log(*names: str) -> None:
    """Shows what the harness logs, and the loggers of these names, as it comes."""
    for logger in map(logging.getLogger, ("harness", *names)):
        logger.setLevel(logging.INFO)
        if not any(isinstance(known, _OnTerminal) for known in logger.handlers):
            logger.addHandler(_OnTerminal())


def add_examples(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Shows command lines below the options, each with what it is for behind a ``#``."""
    parser.epilog = "\n  ".join(["examples:", *lines])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    if parser.description:
        parser.description = textwrap.fill(parser.description, 79, break_on_hyphens=False)


def add_base(parser: argparse.ArgumentParser) -> None:
    """Adds --base."""
    told = "name in kernel-patches/bases/ (default: the one that says so)"
    parser.add_argument("--base", metavar="NAME", help=told)


def figure(text: str) -> float:
    """A number of an argument: 0 or more, and one that something can be compared with."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return value


def add_instrument(parser: argparse.ArgumentParser) -> None:
    """Adds the option."""
    parser.add_argument(
        "--instrument",
        choices=get_args(Instrument),
        help="what tells phases by the work clock: marks of the kernel, the profile of its"
        " functions, which any kernel has (docs/profile.md), or both",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def add_testcases(parser: argparse.ArgumentParser) -> None:
    """Adds --junit and --ktap."""
    for name, told in (("junit", "JUnit XML"), ("ktap", "KTAP")):
        about = f"write the results as {told}, a case each, to FILE"
        parser.add_argument(f"--{name}", metavar="FILE", type=Path, help=about)


def write_testcases(arguments: argparse.Namespace, name: str, found: Sequence[Case]) -> None:
    """Writes what --junit and --ktap ask for."""
    from harness.files import write_atomic
    from harness.report import testcases

    if arguments.junit:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_atomic(arguments.junit, testcases.junit(f"pageinit {name}", now, found))
    if arguments.ktap:
        write_atomic(arguments.ktap, testcases.ktap(found))


def print_json(value: Any) -> None:
    """Prints one JSON document."""
    sys.stdout.write(json.dumps(value, indent=1, sort_keys=False) + "\n")


MATTER = ("variant", "machine", "metric", "baseline", "change")
"""Columns that come first where there is no room for all."""
GAP = 2


def print_table(table: Table, to: Console | None = None) -> None:
    """Prints a table that has rows, and what it notes; the title is on a line of its own.

    Nothing is cut off: columns for which a terminal has no room follow below each row.
    """
    to = to or out
    if table.rows:
        if table.title:
            to.print(Text(table.title, "italic"))
        columns = _fitting(table, to.width)
        grid = Grid(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
        for index in columns:
            side: JustifyMethod = "left" if index < table.left else "right"
            grid.add_column(Text(table.head[index]), justify=side, no_wrap=True)
        if len(columns) == len(table.head):
            for row in table.rows:
                grid.add_row(*map(Text, row))
            to.print(grid)
        else:
            _print_narrow(table, columns, grid, to)
    for note in table.notes:
        to.print(Text(note), overflow="fold")


def _fitting(table: Table, width: int) -> list[int]:
    """The columns that fit into a line, those that matter before the others, in their order."""
    every = range(len(table.head))
    needs = [max(cell_len(clean(row[n])) for row in (table.head, *table.rows)) for n in every]
    first = [n for n in every if table.head[n] in MATTER]
    chosen: list[int] = []
    for index in (*first, *(n for n in every if n not in first)):
        width -= needs[index] + (GAP if chosen else 0)
        if width < 0:
            break
        chosen.append(index)
    return sorted(chosen) if len(chosen) >= max(1, len(first)) else []


def _print_narrow(table: Table, columns: list[int], grid: Grid, to: Console) -> None:
    """Each row, and below it the rest of its columns; all of them where none stands in a column."""
    for row in table.rows:
        grid.add_row(*(Text(row[n]) for n in columns))
    grid.show_header = bool(columns)
    lines = to.render_lines(grid, pad=False) if columns else []
    said = ["".join(piece.text for piece in line).rstrip() for line in lines]
    if said:
        to.print(Text(said.pop(0), "bold"))
    for index, row in enumerate(table.rows):
        rest = [
            f"{name} {cell}"
            for n, (name, cell) in enumerate(zip(table.head, row, strict=True))
            if n not in columns and cell
        ]
        first = said[index] if said else rest.pop(0)
        to.print(Text(first), overflow="fold")
        for line in _packed(rest, to.width - GAP) if columns else rest:
            to.print(Padding(Text(line, overflow="fold"), (0, 0, 0, GAP), expand=False))


def _packed(parts: list[str], width: int) -> list[str]:
    """Parts one behind the other, as many as a line has room for."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(lines[-1]) + cell_len(part) + 2 <= width:
            lines[-1] += f"; {part}"
        else:
            lines.append(part)
    return lines
