# SPDX-License-Identifier: GPL-2.0-only
"""``harness boot``: one boot, with the console live on the terminal."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from harness.boot import ESCAPE_NAME
from harness.cli.parse import phase_table
from harness.cli.run import instrumented, status
from harness.cli.terminal import (
    add_base,
    add_examples,
    add_instrument,
    add_json,
    err,
    out,
    print_json,
    project,
)
from harness.errors import UserError
from harness.files import scratch
from harness.guest import initramfs
from harness.model import GOOD, Run
from harness.results import Results
from harness.run import Session, loop, prepare
from harness.text import clean


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Builds the kernel if need be, boots it once, runs the probes and prints the"
        " outcome and the phases; with --json the whole run record (docs/file-formats.md). Exit"
        " status 1 when the boot went wrong; docs/troubleshooting.md explains each outcome."
    )
    parser.add_argument("variant", metavar="VARIANT", help="name in kernel-patches/variants/")
    parser.add_argument("machine", metavar="MACHINE", help="name in qemu-configs/")
    _add_what_boots(parser)
    parser.add_argument(
        "--keep", metavar="DIR", type=Path, help="keep console, probes and run.json in DIR"
    )
    parser.add_argument(
        "--force", action="store_true", help="boot even what is predicted not to fit"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--quiet", action="store_true", help="no console on the terminal")
    shown.add_argument(
        "--interact",
        action="store_true",
        help=f"the console of the guest in this terminal, until {ESCAPE_NAME}: a shell when the"
        " probes are done, or the login of --image",
    )
    add_json(parser)
    add_examples(
        parser,
        "harness boot eager tiny-2g                      # console live, then outcome and phases",
        "harness boot eager tiny-2g --base 7.3           # the same on another base",
        "harness boot eager quad-16g --probes none       # the boot alone, no memory is touched",
        "harness boot grow quad-16t --keep /tmp/16t      # 16 TiB of guest, the evidence kept",
        "harness boot eager quad-16g --clock work --json # instructions a phase, as a record",
        "harness boot eager quad-16g --image debian.qcow2 # to the login of a distribution",
        "harness boot grow tiny-2g --interact            # look around in the guest",
    )
    parser.set_defaults(action=run)


def _add_what_boots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clock",
        choices=("time", "work"),
        default="time",
        help="time: seconds, emulated under TCG; work: guest instructions (default: time)",
    )
    add_base(parser)
    add_instrument(parser)
    parser.add_argument(
        "--probes",
        metavar="NAMES",
        type=lambda text: [] if text == "none" else text.split(","),
        help="what runs in the guest after the boot, commas between; none is the quickest"
        " (default: meminfo,zoneinfo,touch)",
    )
    parser.add_argument(
        "--append",
        action="append",
        default=[],
        metavar="WORD",
        help="a kernel parameter; may be given more than once",
    )
    parser.add_argument(
        "--image",
        metavar="FILE",
        help="boot into the distribution of a disk image (docs/guests.md), not into our initramfs",
    )


def run(arguments: argparse.Namespace) -> int:
    """Boots once and shows what came of it."""
    if arguments.keep:
        if arguments.keep.exists() and any(arguments.keep.iterdir()):
            raise UserError("not empty", where=str(arguments.keep), remedy="name another folder")
        return _boot(arguments, arguments.keep)
    with scratch() as folder:
        return _boot(arguments, folder)


def _boot(arguments: argparse.Namespace, folder: Path) -> int:
    place = project(arguments)
    names = (arguments.variant, arguments.machine, arguments.clock)
    more = {"append": arguments.append, "image": arguments.image, "base": arguments.base}
    experiment = loop.single(place, *names, **more, probes=arguments.probes)
    if arguments.instrument:
        experiment = instrumented(experiment, arguments.instrument)
    session = prepare(place, experiment)
    (slot,) = experiment.schedule()
    if arguments.interact:
        session = _joined(session)
    live = None if arguments.json or arguments.quiet or arguments.interact else _live
    record = loop.boot_once(session, Results(folder), slot, arguments.force, live)
    if arguments.json:
        print_json(record.model_dump(mode="json", exclude_none=True))
    else:
        show(record)
        if arguments.keep:
            out.print(f"evidence: {folder / 'runs' / slot.key}", markup=False)
    return status(session, record.judgement.outcome not in GOOD)


def _joined(session: Session) -> Session:
    """The session with our terminal at the console; a shell, if the guest has no login."""
    err.print(f"The console of the guest is in this terminal; {ESCAPE_NAME} leaves it.")
    if session.guest:
        return replace(session, typed=True)
    err.print("A shell comes when the probes are done; the guest ends with it.")
    return replace(session, initramfs=initramfs.shell(session.project.cache), typed=True)


def _live(data: bytes) -> None:
    """The console as it comes, less everything that would steer the terminal."""
    text = data.replace(b"\r", b"").decode("utf-8", "replace")
    sys.stderr.write(clean(text))
    sys.stderr.flush()


def show(record: Run) -> None:
    """Prints outcome and phases for people."""
    judgement = record.judgement
    reason = f": {judgement.reason}" if judgement.reason else ""
    out.print(
        clean(f"\n{record.variant} on {record.machine}: {judgement.outcome}{reason}"),
        markup=False,
    )
    phase_table([phase.model_dump(mode="json") for phase in record.phases])
    for line in judgement.excerpt:
        err.print(f"  | {clean(line)}", markup=False)
