# SPDX-License-Identifier: GPL-2.0-only
"""``harness build``: the kernels of some or all variants."""

from __future__ import annotations

import argparse
import logging

from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    print_json,
    print_table,
    project,
)
from harness.errors import BuildError, ConfigError, PatchError, UserError
from harness.kernel import Kernels
from harness.report import Table

log = logging.getLogger(__name__)


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Builds the kernels of the named variants (default: all that are built from"
        " source, and whose series are made for the base), and lists where each kernel is. One"
        " that is in the store already costs nothing. Exit status 1 when one does not compile, 2"
        " when a patch does not apply or an option is dropped."
    )
    parser.add_argument(
        "variants", nargs="*", metavar="VARIANT", help="names in kernel-patches/variants/"
    )
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="parallel jobs (default: one a CPU)"
    )
    add_base(parser)
    add_json(parser)
    add_examples(
        parser,
        "harness build              # every variant that is built from source",
        "harness build grow         # one; says what is wrong with its series or fragments",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Builds and lists."""
    place = project(arguments)
    kernels = Kernels(place, arguments.jobs, place.chosen(arguments.base))
    named = place.built(arguments.variants, arguments.base)
    rows, found, worst = [], {}, 0
    for variant in named:
        try:
            built = kernels.get(variant)
        except (PatchError, ConfigError, BuildError) as error:
            log.warning(f"{variant.name}: {error}")
            found[variant.name] = {"error": str(error)}
            worst = max(worst, 2 if isinstance(error, UserError) else 1)
            continue
        kernel = built.kernel
        found[variant.name] = {**kernel.model_dump(), "image": str(built.image)}
        warnings = "" if kernel.build_warnings is None else str(kernel.build_warnings)
        rows.append(
            [variant.name, kernel.kernel_id, kernel.base_version, warnings, str(built.image)]
        )
    if arguments.json:
        print_json(found)
    else:
        print_table(Table(["variant", "kernel", "base", "warnings", "image"], rows, left=2))
    return worst
