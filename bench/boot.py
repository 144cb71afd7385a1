# SPDX-License-Identifier: GPL-2.0-only
"""What the harness adds to a boot: against the same QEMU line run bare, in turns."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import bare
from bench.figure import Figure, more, percent_more
from bench.setting import Setting
from harness import host
from harness.boot import accel as accelerator
from harness.boot import boot
from harness.boot.request import BootRequest
from harness.errors import HostError
from harness.files import read_bytes
from harness.guest import initramfs
from harness.kernel.debian import fetch_prebuilt
from harness.kernel.store import Kernels
from harness.model.variant import Variant
from harness.parse import dmesg, phases
from harness.project import Project
from harness.qemu import command as qemu

log = logging.getLogger(__name__)

VARIANT = "deferred"
PREBUILT = "linux-image-cloud-amd64"
ROUNDS = {"tiny-2g": 16, "quad-16g": 12}
AIM_MS, AIM_PERCENT = 100.0, 2.0

Pairs = list[tuple[float, float]]


@dataclass
class Tally:
    """Pairs of (bare, harness) of the rounds in which every boot came to its end."""

    done: Pairs = field(default_factory=list)
    whole: Pairs = field(default_factory=list)
    guest: Pairs = field(default_factory=list)
    command: Pairs = field(default_factory=list)
    lost: int = 0


def measure(setting: Setting) -> Iterator[Figure]:
    """Small machines only: there the harness's share is largest."""
    project = setting.project
    variant = project.variant(VARIANT)
    kernel = Kernels(project).known(variant)
    built = kernel is not None
    image = kernel.image if kernel else fetch_prebuilt(PREBUILT, project.cache).image
    guest = initramfs.build(project.cache).path
    for name, rounds in ROUNDS.items():
        machine = project.machine(name)
        accel, _ = accelerator.choose(machine.accel, image, guest, project.cache)
        words = variant.boot if built else ()
        request = BootRequest(
            image, guest, machine, accel, words=words, tsc_khz=host.tsc_khz(), force=True
        )
        tally = Tally()
        for number in range(rounds):
            log.info(f"boot: {name}, round {number + 1} of {rounds}")
            _round(number, request, project, variant if built else None, tally)
        yield from _figures(name, tally, f"{VARIANT if built else PREBUILT}, {accel}")


def _round(
    number: int, request: BootRequest, project: Project, variant: Variant | None, tally: Tally
) -> None:
    """One boot each way; who comes first changes from round to round."""
    ways = ["bare", "harness", *(["command"] if variant else [])]
    alone = inside = spent = None
    first = number % len(ways)
    for way in (*ways[first:], *ways[:first]):
        if way == "bare":
            alone = _bare(request)
        elif way == "harness":
            inside = _inside(request)
        elif variant:
            spent = _command(project, variant.name, request.machine.name)
    if alone is None or inside is None or (variant and spent is None):
        tally.lost += 1
        return
    tally.done.append((alone.done_s, inside.done_s))
    tally.whole.append((alone.whole_s, inside.whole_s))
    guest = _guest_boot(alone.console), _guest_boot(inside.console)
    if guest[0] and guest[1]:
        tally.guest.append((guest[0], guest[1]))
    if spent is not None:
        tally.command.append((alone.whole_s, spent))


def _bare(request: BootRequest) -> bare.Boot | None:
    argv = qemu.render(request.command(host.find_qemu()))
    with tempfile.TemporaryDirectory(prefix="pageinit-bare-", dir="/tmp") as folder:
        return bare.boot(argv, Path(folder), thp=request.machine.thp)


def _inside(request: BootRequest) -> bare.Boot | None:
    """`harness.boot.boot` from the call to its return."""
    with tempfile.TemporaryDirectory(prefix="pageinit-boot-") as folder:
        start = time.monotonic()
        evidence = boot.boot(request, Path(folder))
        whole = time.monotonic() - start
        if evidence.ending.cause != "done":
            return None
        return bare.Boot(evidence.ending.wall_s, whole, read_bytes(Path(folder) / "console.log"))


def _command(project: Project, variant: str, machine: str) -> float | None:
    """The whole of ``harness boot``; none when the boot went wrong."""
    words = ("boot", variant, machine, "--json", "--force")
    places = ("--root", str(project.root), "--cache", str(project.cache))
    start = time.monotonic()
    argv = [sys.executable, "-m", "harness", *places, *words]
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode > 1:
        raise HostError(done.stderr.decode("utf-8", "replace").strip()[-400:])
    return None if done.returncode else time.monotonic() - start


def _guest_boot(console: bytes) -> float | None:
    """The phase `boot` on the guest's own clock, where the kernel prints marks."""
    found = phases.read_phases(dmesg.read(console))
    return next((p.duration for p in found if (p.name, p.source) == ("boot", "mark")), None)


def _figures(name: str, tally: Tally, note: str) -> Iterator[Figure]:
    if tally.lost:
        note += f"; {tally.lost} rounds lost to a failed boot"
    alone = tuple(a for a, _ in tally.whole)
    yield Figure(f"boot {name}: bare QEMU", "s", alone, note=note)
    for what, pairs, aimed in (
        ("harness, call", tally.whole, True),
        ("harness, until done", tally.done, True),
        ("guest's own boot", tally.guest, False),
        ("whole command", tally.command, False),
    ):
        milliseconds = tuple(1000 * value for value in more(pairs))
        ms, percent = (AIM_MS, AIM_PERCENT) if aimed else (None, None)
        yield Figure(f"boot {name}: {what}", "ms more", milliseconds, below=ms)
        yield Figure(f"boot {name}: {what}", "% more", percent_more(pairs), below=percent)
