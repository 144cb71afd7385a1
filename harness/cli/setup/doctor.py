# SPDX-License-Identifier: GPL-2.0-only
"""``harness doctor``: what this host can do, and how to mend what it lacks."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from harness import host, host_memory
from harness.boot import accel
from harness.cli.terminal import add_examples, add_json, print_json, print_table, project
from harness.errors import HarnessError
from harness.guest import initramfs
from harness.report import Table


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Checks tools, QEMU, headers, disk, memory and the accelerator, and names the"
        " package or setting that mends what is missing. KVM counts when a small kernel came to"
        " user space under it. Exit status 2 when something that is needed is missing."
    )
    add_examples(
        parser,
        "harness doctor           # a table, and a line for each thing to mend",
        "harness doctor --json    # for scripts",
    )
    add_json(parser)
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs every check and shows it."""
    cache = project(arguments).cache
    checks = [*host.checks(cache), host_memory.check(), _accelerator(cache)]
    if arguments.json:
        print_json([asdict(check) for check in checks])
    else:
        words = {True: "ok", False: "MISSING"}
        rows = [[words[c.ok], c.name, c.detail] for c in checks]
        print_table(Table(["", "check", "found"], rows, left=3))
        for check in checks:
            if not check.ok and check.remedy:
                print(f"{check.name}: {check.remedy}")
    return 2 if any(not check.ok for check in checks) else 0


def _accelerator(cache: Path) -> host.Diagnosis:
    """KVM counts as working when a kernel came to user space under it; TCG always works."""
    kernels = sorted(cache.glob("kernels/*/bzImage"))
    try:
        found = accel.known(cache)
        if found is None and kernels:
            found = accel.probe(kernels[0], initramfs.build(cache).path, cache)
    except HarnessError as error:
        return host.Diagnosis("accelerator", False, error.what, error.remedy or "")
    if found is None:
        return host.Diagnosis("accelerator", True, "tcg; kvm is tried when there is a kernel")
    said = f"{'kvm' if found.kvm else 'tcg'}; kvm: {found.detail}"
    return host.Diagnosis("accelerator", True, said)
