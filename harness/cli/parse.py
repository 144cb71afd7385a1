# SPDX-License-Identifier: GPL-2.0-only
"""``harness parse``: what a boot log says, ours or not."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cli.terminal import add_examples, add_json, print_json, print_table
from harness.errors import UserError
from harness.model import GOOD
from harness.parse import outcome, source
from harness.report import Table
from harness.text import clean

TIMEOUT_S = 600.0
_PAUSE_S = 0.2


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Reads a boot log of any kernel: a serial console, dmesg, a journal or syslog, plain or"
        " packed by gzip, bzip2, xz or zstd. Of several boots the last is judged. Exit status 1"
        " when the boot it shows went wrong."
    )
    parser.add_argument("file", metavar="FILE", help="a log; - is standard input")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="read what comes until the boot is decided: user space, a panic, an oops or a third"
        " reboot, and then silence",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=TIMEOUT_S,
        help=f"with --follow: wait no longer (default: {TIMEOUT_S:g})",
    )
    add_json(parser)
    add_examples(
        parser,
        "harness parse console.log.xz            # a log of any kernel, ours or not",
        "dmesg | harness parse -                 # the boot of this host",
        "harness parse console.log --json        # for scripts",
        "harness parse --follow /dev/ttyUSB0     # wait for a board, in a test of others",
    )
    parser.set_defaults(action=run)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"not a time in seconds: {text}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Parses one log."""
    if arguments.follow:
        from harness.parse.follow import follow

        pieces = source.grow(arguments.file, _PAUSE_S)
        found = follow(pieces, arguments.timeout).plain()
    elif arguments.timeout != TIMEOUT_S:
        raise UserError("--timeout is for a log that grows", remedy="add --follow")
    else:
        found = outcome.report(source.read(arguments.file))
    if arguments.json:
        print_json(found)
    else:
        show(found)
    return 0 if found["outcome"] in GOOD else 1


def show(found: dict[str, Any]) -> None:
    """Prints a report for people."""
    seconds = found["last_stamp_s"]
    boots = f"{found['boots']} in this log, the last is judged; before it: "
    for name, value in (
        ("outcome", found["outcome"] + (f": {found['reason']}" if found["reason"] else "")),
        ("boots", boots + ", ".join(found["earlier"]) if found["earlier"] else ""),
        ("truncated", "longer than is read: its two ends are" if found["truncated"] else ""),
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
        whole = phase["source"] == "mark" and phase["end"] > 0
        whole = whole and all(value == int(value) for value in times)
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
