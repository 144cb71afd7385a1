# SPDX-License-Identifier: GPL-2.0-only
"""``harness gate``: prove that a variant is correct, or show how it is not."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness.cli.run import BootLines
from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    add_testcases,
    out,
    print_json,
    print_table,
    project,
    write_testcases,
)
from harness.gate import GateResult, checks, prove_scenarios, prove_variants
from harness.report import Table
from harness.run import RunOptions
from harness.text import clean


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Boots both builds of each variant (default: all that are built from source,"
        f" and whose series are made for the base) on {checks.MACHINE} (arm64:"
        f" {checks.MACHINES['arm64']}), sends them through every check and writes gate.csv. Exit"
        " status 1 when a check fails, or a boot has left no record that can be read. With"
        " --scenarios: one more kernel of each variant, on a memmap that an earlier kernel has"
        " left, with a huge page of the boot, with a CMA area; what the file of a variant says that"
        " it fails there is shown as known."
    )
    parser.add_argument(
        "variants", nargs="*", metavar="VARIANT", help="names in kernel-patches/variants/"
    )
    add_base(parser)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="default: results"
    )
    parser.add_argument(
        "--scenarios", action="store_true", help="the boots of another kind, in place of the builds"
    )
    parser.add_argument("--fresh", action="store_true", help="boot all again, in a new folder")
    parser.add_argument("--force", action="store_true", help="boot even what may not fit")
    add_json(parser)
    add_testcases(parser)
    add_examples(
        parser,
        "harness gate grow             # both builds of one variant, and eager to compare with",
        "harness gate                  # every variant but those that are broken on purpose",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Boots what is not booted, judges, and shows a table for each variant."""
    from harness.report import (
        render,  # pandas and scipy: half a second
        testcases,
    )

    place = project(arguments)
    options = RunOptions(arguments.results, fresh=arguments.fresh, force=arguments.force)
    base = place.chosen(arguments.base)
    variants = place.built(arguments.variants, base)
    prove = prove_scenarios if arguments.scenarios else prove_variants
    proof = prove(place, variants, options, base=base, on_event=BootLines())
    found = testcases.checks(proof.checks) + testcases.boots(render.publish(proof.results))
    write_testcases(arguments, "gate", found)
    if arguments.json:
        wrong = {item.key: str(item) for item in proof.wrong}
        about = {"results": str(proof.results.path), "went_wrong": wrong}
        print_json(about | {"checks": checks.rows(proof.checks)})
    else:
        _show(proof)
    return int(not proof.passed)


def _show(proof: GateResult) -> None:
    for name in dict.fromkeys(row.variant for row in proof.checks):
        mine = [row for row in proof.checks if row.variant == name]
        cells = {(row.check, row.build): row for row in mine}
        builds = list(dict.fromkeys((*checks.BUILDS, *checks.SCENARIOS)))
        builds = [build for build in builds if build in {row.build for row in mine}]
        rows = []
        for check in dict.fromkeys(row.check for row in mine):
            here = [cells[check, build] for build in builds if (check, build) in cells]
            results_of = {row.build: row.result for row in here}
            shown = [row.detail for row in here if row.result != "pass"]
            rows.append([check, *(results_of.get(build, "-") for build in builds), _seen(shown)])
        title = f"{name}: {checks.in_short([row.result for row in mine])}"
        out.print()
        print_table(Table(["check", *builds, "seen"], rows, title, 2 + len(builds)))
    for item in proof.wrong:
        out.print(clean(f"WENT WRONG: {item.key}: {item}"), markup=False)
    out.print(f"\ngate: {proof.results.path / 'gate.csv'}", markup=False)


def _seen(details: Sequence[str]) -> str:
    text = " / ".join(dict.fromkeys(details)).replace("\n", " ")
    return text if len(text) <= 160 else text[:159] + "…"
