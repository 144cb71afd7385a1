# SPDX-License-Identifier: GPL-2.0-only
"""``harness status``: how far an experiment is, once or live, whoever runs it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.cli.collate import find
from harness.cli.terminal import add_examples, add_json, out, print_json
from harness.results import RUN_FILE
from harness.run import Observer, Progress
from harness.text import clean, one_line

EVERY_S = 1.0
FAILURES = 8
"""Failures that a screen has room for, the last ones."""


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Counts the outcomes of a results folder and the boots that are left of its"
        " experiment, and shows what boots right now with the last line of its console. The folder"
        " may be one that another process writes to; nothing in it is held or changed. Exit status"
        " 1 when a boot went wrong or a record is damaged."
    )
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="a results folder, or the one above: its newest"
    )
    parser.add_argument(
        "--watch", action="store_true", help="go on until the experiment is over or given up"
    )
    add_json(parser)
    add_examples(
        parser,
        "harness status results/quick                    # once, of the newest dataset there",
        "harness status results/quick --watch            # live; plain lines without a terminal",
        "harness status results/quick/TIME-HASH --json   # a certain one, for scripts",
    )
    parser.set_defaults(action=status)


def status(arguments: argparse.Namespace) -> int:
    """Looks once, or until nothing is to be seen any more."""
    observer = Observer(find(arguments.folder))
    if arguments.json:
        seen = observer.look(time.time())
        print_json(document(seen))
    elif not arguments.watch:
        seen = observer.look(time.time())
        out.print(screen(seen, observer.results.path))
    elif sys.stdout.isatty():
        seen = _live(observer)
    else:
        seen = _plain(observer)
    return 0 if seen.good else 1


def document(seen: Progress) -> dict[str, Any]:
    """Everything for scripts."""
    return {
        "done": seen.done,
        "left": seen.left,
        "cells": seen.cells,
        "cells_done": seen.cells_done,
        "outcomes": dict(sorted(seen.outcomes.items())),
        "damaged": len(seen.damage),
        "running": [asdict(boot) for boot in seen.running],
        "failures": [
            {"key": boot.key, "outcome": boot.outcome, "reason": boot.reason}
            for boot in seen.failures
        ],
        "seconds_left_about": None if seen.left_s is None else round(seen.left_s),
        "writer": seen.writer,
    }


def _looks(observer: Observer) -> Iterator[Progress]:
    """Looks until all is done, or nobody works on it."""
    while True:
        seen = observer.look(time.time())
        yield seen
        if seen.writer is None:
            return
        time.sleep(EVERY_S)


def _live(observer: Observer) -> Progress:
    looks = _looks(observer)
    seen = next(looks)
    with Live(screen(seen, observer.results.path), console=out, auto_refresh=False) as live:
        for seen in looks:
            live.update(screen(seen, observer.results.path), refresh=True)
    return seen


def _plain(observer: Observer) -> Progress:
    """A line whenever a boot begins, moves on to another phase, or ends."""
    before: object = None
    for seen in _looks(observer):
        now = seen.done, tuple((boot.key, boot.phase) for boot in seen.running)
        if now != before:
            out.print(plain(seen), markup=False)
            before = now
        out.file.flush()
    return seen


def plain(seen: Progress) -> str:
    """One look as one line."""
    now = seen.running if seen.writer else ()
    boots = ", ".join(f"{boot.key} in {boot.phase}" for boot in now) or "nothing boots"
    return f"{headline(seen)}; {clean(boots)}"


def headline(seen: Progress) -> str:
    """How much is done, and what is left of it."""
    # A search does not know how many boots it will take.
    known = f"{seen.done}/{seen.boots} boots, {seen.cells_done}/{seen.cells} cells"
    parts = [known if seen.cells else f"{seen.done} boots so far"]
    if seen.failures:
        parts.append(f"{len(seen.failures)} went wrong")
    if seen.damage:
        parts.append(f"{len(seen.damage)} damaged")
    if seen.left and seen.writer is None:
        parts.append(f"{seen.left} left, but nobody works on it")
    elif seen.left_s is not None:
        parts.append(f"about {max(1, round(seen.left_s / 60))} min left")
    return ", ".join(parts)


def screen(seen: Progress, folder: Path) -> Group:
    """One look as a terminal shows it."""
    bar = Table.grid(padding=(0, 2, 0, 0))
    shown = [ProgressBar(seen.boots, seen.done, width=32)] if seen.cells else []
    bar.add_row(*shown, Text(headline(seen)))
    parts: list[Any] = [Text(f"{seen.name}: {folder}", style="bold"), bar]
    if seen.outcomes:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(seen.outcomes.items()))
        parts.append(Text(counts))
    if seen.running:
        parts += [Text(), _boots(seen)]
    if seen.failures or seen.damage:
        parts += [Text(), _wrong(seen, folder)]
    return Group(*parts)


def _boots(seen: Progress) -> Table:
    head = "boots now" if seen.writer else "was left while it booted"
    return _table(
        [head, "for" if seen.writer else "since", "phase", "last line"],
        [[boot.key, f"{boot.seconds:.0f} s", boot.phase, boot.line] for boot in seen.running],
    )


def _wrong(seen: Progress, folder: Path) -> Table:
    failed = [[boot.key, boot.outcome, boot.reason] for boot in seen.failures[-FAILURES:]]
    damaged = [
        [item.within(folder).removesuffix(f"/{RUN_FILE}"), "damaged", item.reason]
        for item in seen.damage[-FAILURES:]
    ]
    return _table(["went wrong", "outcome", "reason"], [*failed, *damaged])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The last column is cut where the screen ends: a longer row would move what is below."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in head:
        table.add_column(name, no_wrap=name != head[-1])
    for row in rows:
        told = [one_line(cell) or "" for cell in row]
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in told))
    return table
