# SPDX-License-Identifier: GPL-2.0-only
"""``harness completion``: what a shell reads to complete words of our command line."""

from __future__ import annotations

import argparse

from harness.cli.terminal import add_examples, out
from harness.errors import UserError

SHELLS = ("bash", "zsh", "tcsh")


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = "Prints a script that completes commands and options in a shell."
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads it")
    add_examples(
        parser,
        "harness completion bash    # > ~/.local/share/bash-completion/completions/harness",
        "harness completion zsh     # > /usr/local/share/zsh/site-functions/_harness",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the script."""
    try:
        import shtab
    except ImportError:
        raise UserError(
            "shtab is not installed", remedy="pip install 'pageinit[completion]'"
        ) from None
    from harness.cli import parser

    out.file.write(shtab.complete(parser(), arguments.shell))
    return 0
