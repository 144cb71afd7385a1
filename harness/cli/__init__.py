# SPDX-License-Identifier: GPL-2.0-only
"""The command line: the only part that prints or sets the exit status.

Exit status: 0 all good; 1 a run failed or regressed; 2 usage or infrastructure; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import harness
from harness.cli import (
    bisect,
    boot,
    build,
    clean,
    collate,
    compare,
    doctor,
    fastpath,
    gate,
    hosts,
    limit,
    nightly,
    parse,
    patches,
    run,
    status,
)
from harness.cli.terminal import add_examples
from harness.errors import HarnessError

EXIT = "exit status: 0 all good, 1 a boot or a build went wrong, 2 usage or infrastructure"
COMMANDS = (
    *(doctor, build, patches, boot, run, gate, limit),
    *(nightly, bisect, status, collate, compare, fastpath, parse, hosts, clean),
)


def parser() -> argparse.ArgumentParser:
    """All subcommands with their help."""
    top = argparse.ArgumentParser(
        prog="harness",
        description="Boots patched Linux kernels on very large emulated NUMA machines and"
        " measures how struct page is initialised.",
    )
    add_examples(
        top,
        "harness doctor                  # what this host can do",
        "harness plan quick              # what an experiment would do, and what it takes",
        "harness boot eager tiny-2g      # one boot, console live",
        "harness run quick               # all boots of an experiment, dataset and report",
        "harness COMMAND --help          # more of each",
    )
    top.epilog = f"{EXIT}\n\n{top.epilog}"
    top.add_argument("--version", action="version", version=harness.__version__)
    top.add_argument("--root", metavar="DIR", help="the checkout (default: around this folder)")
    top.add_argument(
        "--cache",
        metavar="DIR",
        help="sources and kernels (default: $PAGEINIT_CACHE, else ~/.cache/pageinit)",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.register(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        status = arguments.action(arguments)
        sys.stdout.flush()
        return int(status)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("harness: interrupted; finished runs are kept, start again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 2
