# SPDX-License-Identifier: GPL-2.0-only
"""``harness init``: a project of one's own to change."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.terminal import add_examples, out, project


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Lays out a project: machines, kernel series, variants and experiments as they are shipped,"
        " in a folder where they can be changed and added to. Every command that is started in it,"
        " or below it, takes what is there in place of what is shipped. A folder that has any of it"
        " already is left as it is."
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="is made if it is not there")
    add_examples(
        parser,
        "harness init lab    # then, in it, harness plan quick",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Copies, and says what to do next."""
    made = project(arguments).lay_out(arguments.folder)
    out.print(f"project: {made.root}", markup=False)
    out.print("next:    harness doctor; harness plan quick; harness run quick", markup=False)
    return 0
