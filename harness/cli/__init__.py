# SPDX-License-Identifier: GPL-2.0-only
"""The command line: the only part that prints or sets the exit status.

A module for each command parses its arguments, calls what does the work, and prints the answer.
Holds no logic that a notebook or a test would want without an `argparse.Namespace`.

Exit status: 0 all good; 1 a run failed or regressed; 2 usage or infrastructure; 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Collection, Sequence

import harness
from harness.errors import HarnessError

EXIT = "exit status: 0 all good, 1 a boot or a build went wrong, 2 usage or infrastructure"

COMMANDS = {
    "doctor": "what this host can do, and how to mend what it lacks",
    "build": "build kernels that are not in the store yet",
    "patches": "apply, build and check every prefix of every series",
    "boot": "boot one variant on one machine, console live on the terminal",
    "plan": "what `run` would do: cells, QEMU lines, cost; nothing is done",
    "run": "boot every cell of an experiment, then collate and report",
    "gate": "prove that variants are correct, on the measured build and on a debug build",
    "limit": "find the largest machine that each variant boots on this host, and why no larger one",
    "nightly": "boot a fixed experiment on the newest base and compare with the nights before",
    "bisect": "which patch of a series, or which commit of a tree, moved a figure",
    "status": "what is done, what runs, what is left, what went wrong",
    "collate": "rebuild every CSV and the report from the raw evidence, and print the medians",
    "compare": "verdicts of a dataset: faster, slower, equivalent, or how many more blocks",
    "fastpath": "the way of a page through the allocator: code and instructions beside eager's",
    "parse": "read any Linux boot log: outcome, version, phases",
    "hosts": "the hosts of a lab, and whether they are fit for experiments",
    "clean": "remove what can be made again from the cache",
}
"""Commands and what each is for; a module of that name says the rest when it is asked for."""


def parser(asked: Collection[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser, complete for the commands in `asked` alone: each module takes time to load."""
    top = argparse.ArgumentParser(
        prog="harness",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Boots patched Linux kernels on very large emulated NUMA machines and measures"
        "\nhow struct page is initialised.",
    )
    examples = (
        "harness doctor                  # what this host can do",
        "harness plan quick              # what an experiment would do, and what it takes",
        "harness boot eager tiny-2g      # one boot, console live",
        "harness run quick               # all boots of an experiment, dataset and report",
        "harness COMMAND --help          # more of each",
    )
    top.epilog = "\n  ".join([f"{EXIT}\n\nexamples:", *examples])
    top.add_argument("--version", action="version", version=harness.__version__)
    top.add_argument("--root", metavar="DIR", help="the checkout (default: around this folder)")
    top.add_argument(
        "--cache",
        metavar="DIR",
        help="sources and kernels (default: $PAGEINIT_CACHE, else ~/.cache/pageinit)",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose)
        if name in asked:
            importlib.import_module(f"harness.cli.{name}").register(command)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    arguments = parser(COMMANDS.keys() & set(words)).parse_args(words)
    try:
        importlib.import_module("harness.cli.terminal").show_log()
        status = arguments.action(arguments)
        sys.stdout.flush()
        return int(status)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 2
    except BaseException as error:
        if not _interrupted(error):
            raise
        print("harness: interrupted; finished runs are kept, start again to go on", file=sys.stderr)
        return 130


def _interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C is what ended the command.

    Pydantic calls our serializers from Rust: an interrupt in one comes out as an error of its own,
    whose text alone says what was raised.
    """
    hidden = type(error).__name__ == "PydanticSerializationError"
    return isinstance(error, KeyboardInterrupt) or (hidden and "KeyboardInterrupt" in str(error))
