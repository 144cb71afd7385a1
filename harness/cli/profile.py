# SPDX-License-Identifier: GPL-2.0-only
"""``harness profile``: where the instructions of a boot go, function by function."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from harness import __version__
from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    err,
    out,
    print_json,
    print_table,
    project,
)
from harness.compare import Explanation, explain
from harness.errors import UserError
from harness.files import scratch, write_atomic
from harness.model import GOOD, Counting, Event
from harness.parse import Profile
from harness.results import Results
from harness.run import Foreign, ProfiledBoot, profile_boot
from harness.units import parse_size

if TYPE_CHECKING:
    from harness.project import Project

OUTPUT = Path("results/profile")
ROWS = 20
"""Functions that a terminal shows."""


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Boots a kernel once by the work clock and counts every instruction until user space, by"
        " function and by the functions that called it; nothing is sampled, and the kernel needs"
        " no patch (docs/profile.md). Prints a table and writes a page with a flame graph,"
        " collapsed stacks and a file for KCachegrind. Exit status 1 when the boot went wrong: the"
        " profile is what there was until then."
    )
    for name, where in (("variant", "kernel-patches/variants/"), ("machine", "qemu-configs/")):
        parser.add_argument(name, nargs="?", metavar=name.upper(), help=f"name in {where}")
    parser.add_argument(
        "--kernel", metavar="FILE|PACKAGE",
        help="in place of VARIANT: a bzImage, an Image of arm64, or a linux-image-* package",
    )  # fmt: skip
    parser.add_argument(
        "--system-map", metavar="FILE", type=Path,
        help="of --kernel; without it symbols are taken from its kallsyms",
    )  # fmt: skip
    add_base(parser)
    parser.add_argument(
        "--phase", metavar="NAME", help="a phase, or a function: it and all that it calls"
    )
    parser.add_argument(
        "--against", metavar="VARIANT", help="boot this one too, and say what differs from it"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=OUTPUT, help=f"default: {OUTPUT}"
    )
    parser.add_argument(
        "--count", choices=get_args(Event), default="instructions",
        help="what is counted; misses are lines that an ideal last-level cache has to fetch",
    )  # fmt: skip
    parser.add_argument(
        "--cache-size", metavar="SIZE", type=parse_size, default=Counting().cache,
        help="of that cache (default: 32MiB)",
    )  # fmt: skip
    add_json(parser)
    add_examples(
        parser,
        "harness profile eager quad-16g                          # the whole boot",
        "harness profile deferred quad-16g --against eager       # which functions differ",
        "harness profile eager quad-16g --phase memblock_free_all # one phase of it",
        "harness profile eager quad-16g --count misses           # what each fetches from memory",
        "harness profile --kernel linux-image-cloud-amd64 quad-16g",
        "harness profile --kernel arch/x86/boot/bzImage tiny-2g --system-map System.map",
    )
    parser.set_defaults(action=run)


@dataclass(frozen=True)
class Shown:
    """What is shown of a boot: all of the kernel, or a phase of it."""

    boot: ProfiledBoot
    profile: Profile


def run(arguments: argparse.Namespace) -> int:
    """Boots, shows and writes."""
    what, machine = _named(arguments)
    place = project(arguments)
    if arguments.against:
        place.variant(arguments.against)
    asked: list[str | Foreign] = [what, *([arguments.against] if arguments.against else [])]
    with scratch() as folder:
        boots = [
            _boot(place, each, machine, arguments, folder / str(n)) for n, each in enumerate(asked)
        ]
    shown = [Shown(boot, _shown(boot, arguments.phase)) for boot in boots]
    found = explain(shown[1].profile, shown[0].profile) if arguments.against else None
    files = dict(_files(shown, found, arguments.phase))
    for name, text in files.items():
        write_atomic(arguments.output / name, text)
    if arguments.json:
        print_json(_document(shown, found, arguments))
    else:
        _print(shown, found)
        for name in files:
            out.print(f"written: {arguments.output / name}", markup=False)
    return int(any(boot.run.judgement.outcome not in GOOD for boot in boots))


def _named(arguments: argparse.Namespace) -> tuple[str | Foreign, str]:
    variant, machine = arguments.variant, arguments.machine
    if arguments.kernel:
        # The one name that is given is that of the machine, whatever place it has.
        if not variant or machine:
            raise UserError("--kernel takes the place of VARIANT: name a MACHINE, and no more")
        if arguments.base and not arguments.against:
            raise UserError("--kernel is built already: it has no --base")
        return Foreign.of(arguments.kernel, arguments.system_map), variant
    if arguments.system_map:
        raise UserError("--system-map belongs to --kernel; kernels built here have theirs")
    if not machine:
        raise UserError("name a VARIANT and a MACHINE", remedy="harness profile eager quad-16g")
    return variant, machine


def _boot(
    place: Project,
    what: str | Foreign,
    machine: str,
    arguments: argparse.Namespace,
    folder: Path,
) -> ProfiledBoot:
    base = None if isinstance(what, Foreign) else arguments.base
    counting = Counting(event=arguments.count, cache=arguments.cache_size)
    return profile_boot(place, what, machine, Results(folder), base=base, counting=counting)


def _shown(boot: ProfiledBoot, phase: str | None) -> Profile:
    """The kernel without the firmware before it, or a phase."""
    return boot.phase(phase) if phase else boot.kernel


def _files(
    shown: list[Shown], found: Explanation | None, phase: str | None
) -> Iterator[tuple[str, str]]:
    from harness.report import flame_page

    event = shown[0].profile.event
    part = (f"-{phase}" if phase else "") + (f"-{event}" if event != "instructions" else "")
    for each in shown:
        boot = each.boot
        yield f"{boot.name}{part}.collapsed", "".join(each.profile.collapsed())
        text = each.profile.callgrind(boot.run.command_line, f"pageinit {__version__}")
        yield f"callgrind.out.{boot.name}{part}", "".join(text)
    first = shown[0].boot
    against = f"-against-{shown[1].boot.variant}" if found else ""
    labels = [each.boot.variant for each in shown]
    about = f" against {labels[1]}" if found else ""
    title = f"{first.variant}{about} on {first.machine}{f': {phase}' if phase else ''}"
    notes = [f"{each.boot.variant}: {said}" for each in shown for said in each.boot.caveats]
    page = flame_page(title, labels, [each.profile for each in shown], found, notes)
    yield f"{first.name}{against}{part}.html", page


def _print(shown: list[Shown], found: Explanation | None) -> None:
    from harness.report import cost_table, difference_table

    for each in shown:
        for said in each.boot.caveats:
            err.print(f"{each.boot.variant}: {said}", markup=False)
        table = cost_table(each.profile, ROWS)
        print_table(replace(table, title=f"{each.boot.variant} on {each.boot.machine}"))
        out.print()
    if found:
        print_table(difference_table(found, ROWS))
        out.print()


def _document(
    shown: list[Shown], found: Explanation | None, arguments: argparse.Namespace
) -> dict[str, Any]:
    boots = [
        {
            "variant": each.boot.variant,
            "machine": each.boot.machine,
            "base_version": each.boot.run.kernel and each.boot.run.kernel.base_version,
            "outcome": each.boot.run.judgement.outcome,
            "phase": arguments.phase,
            "whole": each.boot.profile.whole,
            "event": each.profile.event,
            "instructions": each.profile.total,
            "functions": [cost._asdict() for cost in each.profile.costs.values()],
        }
        for each in shown
    ]
    said: dict[str, Any] = {"boots": boots}
    if found:
        differences = [
            {**each._asdict(), "difference": each.difference} for each in found.differences
        ]
        said["difference"] = {
            "instructions": found.difference,
            "in_words": str(found),
            "functions": differences,
        }
    return said
