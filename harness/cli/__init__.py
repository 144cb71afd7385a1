# SPDX-License-Identifier: GPL-2.0-only
"""The command line: the only part that prints or sets the exit status.

A module for each command parses its arguments, calls what does the work, and prints the answer.
Holds no logic that a notebook or a test would want without an `argparse.Namespace`.

Exit status: 0 all good; 1 a run failed or regressed; 2 usage or infrastructure; 70 a bug of ours;
130 interrupted. `bisect step` answers `git bisect run`, with 255 for all that is none.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import keyword
import os
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import harness
from harness import text as foreign_text
from harness.errors import HarnessError

EXIT = (
    "exit status: 0 all good, 1 a boot or a build went wrong, 2 usage or infrastructure,"
    "\n  70 a bug of the harness, 130 interrupted"
)
USAGE, BUG = 2, 70
"""The latter is EX_SOFTWARE of sysexits.h."""
ABORT = 255
"""`git bisect run` gives up on this; any status from 1 to 127 but 125 it would take for bad."""
REPORT = "Report it as CONTRIBUTING.md says, with what `harness --debug ...` shows"
SCREEN, WIDEST = 24, 500
"""Lines of an error, and characters of each."""

COMMANDS = {
    "doctor": "what this host can do, and how to mend what it lacks",
    "try": "from a posted series, a mail or a branch, to a verdict and a table for the reply",
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
    "export": "a dataset in the form of Bencher, KCIDB, Perfherder, OpenMetrics or Parquet",
    "fastpath": "the way of a page through the allocator: code and instructions beside eager's",
    "profile": "where the instructions of a boot go, function by function, of any kernel",
    "parse": "read any Linux boot log: outcome, version, phases",
    "hosts": "the hosts of a lab, and whether they are fit for experiments",
    "init": "lay out a project of one's own: machines, series, variants, experiments",
    "completion": "a script that completes commands and options in a shell",
    "clean": "remove what can be made again from the cache",
}
"""Commands and what each is for; a module of that name says the rest when it is asked for."""
SETUP = frozenset({"doctor", "hosts", "init", "completion", "clean"})
"""Those whose modules lie in `setup`."""


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
    about = "show the traceback of an error that the harness did not foresee"
    top.add_argument("--debug", action="store_true", help=about)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose)
        command.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        if name in asked:
            importlib.import_module(f"harness.cli.{_module(name)}").register(command)
    return top


def _module(name: str) -> str:
    word = f"{name}_" if keyword.iskeyword(name) else name
    return f"setup.{word}" if name in SETUP else word


def main(argv: Sequence[str] | None = None, begin: Callable[[], object] = lambda: None) -> int:
    """Runs one subcommand and returns the exit status; `begin` is called before its work."""
    words = sys.argv[1:] if argv is None else argv
    step = {"bisect", "step"} <= set(words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal cannot show is no reason to lose what was done.
            stream.reconfigure(errors="replace")
    try:
        arguments = parser(COMMANDS.keys() & set(words)).parse_args(words)
        importlib.import_module("harness.cli.terminal").show_log()
        begin()
        status = int(arguments.action(arguments))
        sys.stdout.flush()
        return status
    except SystemExit as end:  # of the parser
        if end.code and step:
            return ABORT
        raise
    except BaseException as error:
        status = _end(error, "--debug" in words)
        return ABORT if step and status in (USAGE, BUG) else status


def _end(error: BaseException, debug: bool) -> int:
    """Says what ended a command, and answers the exit status."""
    if isinstance(error, HarnessError):
        _say(str(error))
        return USAGE
    if isinstance(error, BrokenPipeError):
        with contextlib.suppress(OSError, ValueError):  # else Python fails once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return USAGE
    if _interrupted(error):
        _say("interrupted; finished runs are kept, start again to go on")
        return 130
    if not isinstance(error, Exception):
        raise error
    if debug:
        traceback.print_exception(error)
    known = isinstance(error, OSError | MemoryError)
    _say(_trouble(error) if known else _bug(error))
    return USAGE if known else BUG


def _say(text: str) -> None:
    """One screen, of which no line can do more than be seen."""
    lines = [foreign_text.clean(line) for line in text.splitlines()]
    if len(lines) > SCREEN:
        lines[SCREEN // 2 : -SCREEN // 2] = ["  ..."]
    print("harness:", "\n".join(line[:WIDEST] for line in lines), file=sys.stderr)


def _trouble(error: BaseException) -> str:
    """What the system says of a file, a program or memory, where nobody was ready for it."""
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return f"{named}{error.strerror or error}\n  remedy: `--debug` shows where it came up"
    return "not enough memory\n  remedy: make room, or work on less at once"


def _bug(error: Exception) -> str:
    """What nobody has foreseen, where it came up, and what to do with it."""
    frames = traceback.extract_tb(error.__traceback__)
    root = Path(__file__).parents[2]
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(root / "harness")][-1]
    place = f"{Path(ours.filename).relative_to(root)}:{ours.lineno} in {ours.name}"
    said = str(error).partition("\n")[0]
    return (
        f"this is a bug in the harness {harness.__version__}: {type(error).__name__}: {said}\n"
        f"  at {place}\n  remedy: finished runs are kept. {REPORT}"
    )


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is what ended the command, also where another error came of it.

    Pydantic calls our serializers from Rust: an interrupt in one comes out as an error of its own,
    whose text alone says what was raised. A module that was being imported says that it cannot be.
    """
    hidden = type(error).__name__ == "PydanticSerializationError"
    if isinstance(error, KeyboardInterrupt) or (hidden and "KeyboardInterrupt" in str(error)):
        return True
    return error is not None and _interrupted(error.__cause__ or error.__context__)
