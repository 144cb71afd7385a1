# SPDX-License-Identifier: GPL-2.0-only
"""``harness limit``: the largest machine that a variant boots on this host."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness import host
from harness.cli.terminal import Log, add_examples, add_json, out, print_json, print_table, project
from harness.model import GOOD, Slot, Variant
from harness.report import publish
from harness.results import Results
from harness.run import RunOptions, Session, limit, loop, prepare
from harness.units import format_size

if TYPE_CHECKING:
    from harness.dataset import Dataset


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Boots larger and larger machines of four nodes, below 64 TiB, until one comes"
        " to user space and the next does not; sizes are an eighth of a power of two apart. The"
        " machine that does not fit is booted all the same: QEMU is told to be the first that the"
        " host's OOM killer takes. Give it the host alone. Writes limits.csv and a report."
    )
    parser.add_argument(
        "variants",
        nargs="*",
        metavar="VARIANT",
        help="names in kernel-patches/variants/ (default: all)",
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="default: results"
    )
    parser.add_argument("--fresh", action="store_true", help="boot all again, in a new folder")
    add_json(parser)
    add_examples(
        parser,
        "harness limit grow            # a handful of boots",
        "harness limit                 # every variant; interrupted, it goes on where it was",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Searches variant after variant, and shows what was found."""
    place, log = project(arguments), Log()
    names = list(dict.fromkeys(arguments.variants or place.variants()))
    session = prepare(place, limit.experiment(names), log, machines=limit.machines())
    options = RunOptions(arguments.results, fresh=arguments.fresh, force=True)
    results = loop.open_results(session, options)
    with results.locked():
        loop.begin(session, results)
        for name in names:
            _search(session, results, session.variants[name], log)
        found = publish(results)
    _show(found, results, arguments.json)
    return int(bool(found.limits["max_bootable_bytes"].isna().any()))


def _search(session: Session, results: Results, variant: Variant, log: Log) -> None:
    machines = list(limit.machines().values())
    known = {(stored.run.variant, stored.run.machine): stored.run for stored in results.read()[0]}

    def boots(place: int) -> bool:
        machine = machines[place]
        record = known.get((variant.name, machine.name))
        if record is None:
            log(f"{variant.name} on {format_size(machine.memory)} ...")
            slot = Slot(variant.name, machine.name, "time", 0, 0)
            record = loop.boot_once(session, results, slot, force=True)
            said = f": {record.judgement.reason}" if record.judgement.reason else ""
            log(
                f"{variant.name} on {format_size(machine.memory)} {record.judgement.outcome}{said}"
                f" in {record.ending.wall_s:.1f} s"
            )
        return record.judgement.outcome in GOOD

    first = limit.guess(variant, host.available_memory())
    limit.search(first, len(machines) - 1, boots)


def _show(found: Dataset, results: Results, as_json: bool) -> None:
    rows = found.limits.astype(object).where(found.limits.notna(), None).to_dict("records")
    if as_json:
        print_json({"results": str(results.path), "limits": rows})
        return
    head = ["variant", "boots up to", "host memory", "next", "why not"]
    print_table("largest machine on this host", [head, *limit.table(rows)], left=1)
    out.print(f"\nlimits: {results.path / 'limits.csv'}", markup=False)
