# SPDX-License-Identifier: GPL-2.0-only
"""``harness gate``: prove that a variant is correct, or show how it is not."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from harness.cli.run import BootLines
from harness.cli.terminal import Log, add_examples, add_json, out, print_json, print_table, project
from harness.errors import UserError
from harness.gate import checks
from harness.model import Variant
from harness.project import Project
from harness.report import publish
from harness.results import Results
from harness.run import RunOptions, loop, prepare


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Boots both builds of each variant (default: all that are built from source)"
        f" on {checks.MACHINE}, sends them through every check and writes gate.csv. Exit status 1"
        " when a check fails."
    )
    parser.add_argument(
        "variants", nargs="*", metavar="VARIANT", help="names in kernel-patches/variants/"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="default: results"
    )
    parser.add_argument("--fresh", action="store_true", help="boot all again, in a new folder")
    parser.add_argument("--force", action="store_true", help="boot even what may not fit")
    add_json(parser)
    add_examples(
        parser,
        "harness gate grow             # both builds of one variant, and eager to compare with",
        "harness gate                  # every variant but those that are broken on purpose",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Boots what is not booted, judges, and shows a table for each variant."""
    place, log = project(arguments), Log()
    variants = _variants(place, arguments.variants)
    asked = checks.experiment([variant.name for variant in variants])
    baseline = place.variant(checks.BASELINE)
    derived = {v.name: v for v in (checks.debug(each) for each in (*variants, baseline))}
    session = prepare(place, asked, log, derived)
    options = RunOptions(arguments.results, fresh=arguments.fresh, force=arguments.force)
    results = loop.open_results(session, options)
    with results.locked():
        loop.run(session, results, options, BootLines(log))
        publish(results)
    found = checks.checks((stored.run for stored in results.read()[0]), asked)
    if arguments.json:
        print_json({"results": str(results.path), "checks": checks.rows(found)})
    else:
        _show(found, results)
    return int(any(row.result == "fail" for row in found))


def _variants(place: Project, names: Sequence[str]) -> list[Variant]:
    found = [place.variant(name) for name in dict.fromkeys(names or place.variants())]
    if prebuilt := [variant.name for variant in found if variant.prebuilt and names]:
        raise UserError(f"{', '.join(prebuilt)}: a prebuilt kernel has no debug build")
    return [variant for variant in found if not variant.prebuilt]


def _show(found: Sequence[checks.Check], results: Results) -> None:
    for name in dict.fromkeys(row.variant for row in found):
        mine = [row for row in found if row.variant == name]
        cells = {(row.check, row.build): row for row in mine}
        rows = [["check", *checks.BUILDS, "seen"]]
        for check in checks.CHECKS:
            here = [cells[check, build] for build in checks.BUILDS if (check, build) in cells]
            results_of = {row.build: row.result for row in here}
            shown = [row.detail for row in here if row.result != "pass"]
            rows.append(
                [check, *(results_of.get(build, "-") for build in checks.BUILDS), _seen(shown)]
            )
        bad = sum(row.result == "fail" for row in mine)
        print_table(f"\n{name}: {f'{bad} FAILED' if bad else 'all good'}", rows, left=4)
    out.print(f"\ngate: {results.path / 'gate.csv'}", markup=False)


def _seen(details: Sequence[str]) -> str:
    text = " / ".join(dict.fromkeys(details)).replace("\n", " ")
    return text if len(text) <= 160 else text[:159] + "…"
