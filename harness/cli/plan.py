# SPDX-License-Identifier: GPL-2.0-only
"""``harness plan``: what a run would do and what it would cost, without doing it."""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import host
from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    out,
    print_json,
    print_table,
    project,
)
from harness.errors import HarnessError
from harness.guest import disk
from harness.kernel import Kernels, kconfig
from harness.model import Arch, Experiment, Slot, base_of, first_arm
from harness.project import Project
from harness.qemu import command, footprint
from harness.report import Table
from harness.run import fit
from harness.units import format_size

BUILD_GUESS = 120.0
"""Seconds for a kernel: the first one takes two to five minutes, each further one half a minute."""

PROMISED = ("boot", "memmap_init", "memblock_free_all", "page_alloc_init_late", "first-touch")
"""Figures of which it is said what their blocks can find; --json has all."""

RUN_BYTES = 200_000
"""Disk that the evidence of one boot takes, about."""


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Prints the cells, what each takes of the host's memory and whether that"
        " fits, and a rough cost in time and disk from nothing. Builds, downloads and boots"
        " nothing."
    )
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", type=Path, help="name in experiments/, or a YAML file"
    )
    add_base(parser)
    add_json(parser)
    parser.add_argument("--lines", action="store_true", help="print the QEMU lines too")
    add_examples(
        parser,
        "harness plan quick            # cells, boots, predicted memory, kernels to build",
        "harness plan scale --lines    # and the QEMU line of each cell",
    )
    parser.set_defaults(action=plan)


def plan(arguments: argparse.Namespace) -> int:
    """Says what would happen and what it would cost."""
    place = project(arguments)
    experiment = place.experiment(arguments.experiment, arguments.base)
    slots = experiment.schedule()
    available = host.available_memory()
    # To ask a QEMU for its version takes longer than all else about a cell.
    qemu = functools.cache(host.find_qemu)
    configs = {name: _config(place, experiment, name) for name in experiment.variants}
    known: dict[str, Any] = {"available": available, "configs": configs, "qemu": qemu}
    cells = [_cell(place, experiment, slot, **known) for slot in _cells(slots)]
    builds = _unbuilt(place, experiment)
    each = {(c["variant"], c["machine"], c["clock"]): c["seconds_about"] for c in cells}
    seconds = sum(each[s.variant, s.machine, s.clock] for s in slots) + len(builds) * BUILD_GUESS
    cost = {
        "boots": len(slots),
        "kernels_to_build": builds,
        "seconds_about": round(seconds),
        "disk_bytes_about": len(slots) * RUN_BYTES,
        "memory_available_bytes": available,
        "findable": _findable(experiment),
    }
    if arguments.json:
        print_json({"cells": cells, "cost": cost})
        return 0
    _show_cells(experiment, cells, slots)
    if arguments.lines:
        for cell in cells:
            out.print("\n" + " ".join(cell["argv"]), markup=False)
    out.print(
        f"\n{len(slots)} boots; kernels to build: {', '.join(builds) or 'none'};"
        f" about {seconds / 60:.0f} min, {format_size(len(slots) * RUN_BYTES)} of results",
        markup=False,
    )
    for sentence in _told(cost["findable"]):
        out.print(sentence, markup=False)
    return 0


def _findable(experiment: Experiment) -> dict[int, dict[str, float]]:
    """Blocks of the time clock to the slowdown of each figure that they find in four of five."""
    from harness.compare import findable, noise

    plans = {g.clocks["time"].blocks for g in experiment.matrix if "time" in g.clocks}
    return {
        blocks: {name: part for name in noise().time if (part := findable(name, blocks))}
        for blocks in sorted(plans)
    }


def _told(found: Mapping[int, Mapping[str, float]]) -> Iterator[str]:
    for blocks, parts in found.items():
        if not parts:
            yield (
                f"time clock, {blocks} blocks: no verdict, which needs 6; host memory and the work"
                " clock need none"
            )
        else:
            seen = ", ".join(f"{parts[name]:.0%} of {name}" for name in PROMISED if name in parts)
            yield (
                f"time clock, {blocks} blocks: finds in four of five experiments a slowdown of"
                f" {seen}, with the noise of results/reference/aa"
            )


def _show_cells(
    experiment: Experiment, cells: Sequence[Mapping[str, Any]], slots: Sequence[Slot]
) -> None:
    boots = {(c["variant"], c["machine"], c["clock"]): 0 for c in cells}
    for slot in slots:
        boots[slot.variant, slot.machine, slot.clock] += 1
    rows = [
        [
            *(key := (cell["variant"], cell["machine"], cell["clock"])),
            str(boots[key]),
            format_size(cell["host_memory_bytes"]),
            "yes" if cell["fits"] else "NO",
        ]
        for cell in cells
    ]
    head = ("variant", "machine", "clock", "boots", "host memory", "fits")
    told = dict.fromkeys(
        f"{cell['variant']} on {cell['machine']}: {cell['obstacle']}."
        for cell in cells
        if cell["obstacle"]
    )
    title = f"{experiment.name}: {experiment.description}"
    print_table(Table(head, rows, title, 2, notes=tuple(told)))


def _cells(slots: Sequence[Slot]) -> list[Slot]:
    """One slot of each cell, in order."""
    cells: dict[tuple[str, str, str], Slot] = {}
    for slot in sorted(slots, key=lambda slot: (slot.machine, slot.clock, slot.variant)):
        cells.setdefault((slot.variant, slot.machine, slot.clock), slot)
    return list(cells.values())


def _cell(
    place: Project,
    experiment: Experiment,
    slot: Slot,
    *,
    available: int,
    configs: Mapping[str, tuple[Mapping[str, str], bool]],
    qemu: Callable[[Arch], command.Qemu],
) -> dict[str, Any]:
    variant, machine = place.variant(slot.variant), place.machine(slot.machine)
    need = footprint.footprint(
        machine, variant.memory_model, experiment.taken(slot.cell, machine.memory)
    )
    config, whole = configs[slot.variant]
    disk_needed = whole and experiment.guest is not None
    # What `auto` will be is not known before a probe boot.
    bits = host.address_bits() if machine.accel == "kvm" else None
    obstacle = command.obstacle(machine, bits)
    obstacle = obstacle or kconfig.obstacle(config, machine, disk=disk_needed)
    line = command.CommandLine(
        machine,
        Path("bzImage"),
        Path("initramfs.cpio"),
        slot.clock,
        "tcg",
        qemu(machine.architecture),
        (*variant.boot, *experiment.boot, *(guest.words if (guest := experiment.guest) else ())),
        hz=kconfig.hz(config),
        image=disk.read(guest.path(place.root), place.cache) if guest else None,
        sockets=False,
    )
    return {
        **dict(zip(("variant", "machine", "clock"), slot.cell, strict=True)),
        "memory_bytes": machine.memory,
        "host_memory_bytes": need.total,
        "seconds_about": round(footprint.boot_seconds(need, slot.clock, bool(guest)), 1),
        "fits": need.total <= available and not obstacle,
        "obstacle": obstacle,
        "argv": command.render(line),
    }


def _config(place: Project, experiment: Experiment, name: str) -> tuple[Mapping[str, str], bool]:
    """The kernel's configuration as far as it is known, and whether that is all of it.

    What is not in the store yet is what its fragments ask for.
    """
    store = Kernels(place).at(base_of(name))
    variant = fit(store, experiment, place.variant(name))
    with contextlib.suppress(HarnessError):
        built = store.known(variant)
        if built and built.config:
            return kconfig.read(built.config), True
    files = place.fragments(variant.fragments, store.asked) if not variant.prebuilt else ()
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return kconfig.values(text), False


def _unbuilt(place: Project, experiment: Experiment) -> list[str]:
    """Variants whose kernel is not in the store; all of them where that cannot be told."""
    every = Kernels(place)
    missing = []
    for name in dict.fromkeys(map(first_arm, experiment.variants)):
        store = every.at(base_of(name))
        try:
            known = store.known(fit(store, experiment, place.variant(name)))
        except HarnessError:
            known = None
        if known is None:
            missing.append(name)
    return missing
