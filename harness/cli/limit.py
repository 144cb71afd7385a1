# SPDX-License-Identifier: GPL-2.0-only
"""``harness limit``: the largest machine that a variant boots on this host."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    out,
    print_json,
    print_table,
    project,
)
from harness.run import Ran, limit
from harness.text import clean

if TYPE_CHECKING:
    from harness.dataset import Dataset


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Boots larger and larger machines of four nodes, below 64 TiB, until one comes"
        " to user space and the next does not; sizes are an eighth of a power of two apart. The"
        " machine that does not fit is booted all the same: QEMU is told to be the first that the"
        " host's OOM killer takes. Give it the host alone. Writes limits.csv and a report. Exit"
        " status 1 when a variant boots on none, or a record cannot be read."
    )
    parser.add_argument(
        "variants",
        nargs="*",
        metavar="VARIANT",
        help="names in kernel-patches/variants/ (default: all, or all whose series fit --base)",
    )
    add_base(parser)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="default: results"
    )
    parser.add_argument("--fresh", action="store_true", help="boot all again, in a new folder")
    add_json(parser)
    add_examples(
        parser,
        "harness limit grow            # a handful of boots",
        "harness limit lazy --base 7.3 # on another kernel source",
        "harness limit                 # every variant; interrupted, it goes on where it was",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Searches variant after variant, and shows what was found."""
    from harness.report import render  # pandas and scipy: half a second

    place = project(arguments)
    base = place.chosen(arguments.base)
    every = [variant.name for variant in place.built((), base)] if base else place.variants()
    names = list(dict.fromkeys(arguments.variants or every))
    ran = limit.search_variants(place, names, arguments.results, base=base, fresh=arguments.fresh)
    found = render.publish(ran.results)
    _show(found, ran, arguments.json)
    return int(bool(ran.unread) or bool(found.limits["max_bootable_bytes"].isna().any()))


def _show(found: Dataset, ran: Ran, as_json: bool) -> None:
    from harness.report import sections

    rows = found.limits.astype(object).where(found.limits.notna(), None).to_dict("records")
    if as_json:
        unread = [str(item) for item in ran.unread]
        print_json({"results": str(ran.results.path), "limits": rows, "unread": unread})
        return
    print_table(replace(sections.limit_table(rows), title="largest machine on this host"))
    for item in ran.unread:
        out.print(clean(f"DAMAGED: {item}"), markup=False)
    out.print(f"\nlimits: {ran.results.path / 'limits.csv'}", markup=False)
