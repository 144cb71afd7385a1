# SPDX-License-Identifier: GPL-2.0-only
"""What a short command costs: CPU seconds from fork to exit, beside what it cannot do without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from bench.figure import Figure
from bench.setting import Setting

ROUNDS = 15
AIM_S = 0.25

COMMANDS = {
    "harness --help": (("--help",), "argparse"),
    "harness parse": (("parse", "LOG", "--json"), "argparse, json, pydantic, rich.console"),
    "harness plan": (
        ("plan", "quick"),
        "argparse, asyncio, pydantic, rich.console, rich.table, yaml",
    ),
}
"""A command's words, and the modules of others that it needs."""


def measure(setting: Setting) -> Iterator[Figure]:
    """Each command and Python with the modules that it needs, in turns; and their ratio."""
    log = str(min(setting.golden.glob("*.log")))
    for name, (words, modules) in COMMANDS.items():
        argv = ["-m", "harness", *(log if word == "LOG" else word for word in words)]
        bare, whole = [], []
        for _ in range(ROUNDS):
            bare.append(_cpu(["-c", f"import {modules}"]))
            whole.append(_cpu(argv))
        aim = None if name.endswith("plan") else AIM_S
        yield Figure(f"start: {name}", "s of CPU", tuple(whole), below=aim)
        yield Figure(f"start: python with {modules}", "s of CPU", tuple(bare))
        ratios = tuple(a / b for a, b in zip(whole, bare, strict=True))
        yield Figure(f"start: {name} over that", "x", ratios)


def _cpu(words: Sequence[str]) -> float:
    """User and system seconds of one Python; `parse` answers 1 for a boot that went wrong."""
    devnull = subprocess.DEVNULL
    child = subprocess.Popen([sys.executable, *words], stdout=devnull, stderr=devnull)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode in (0, 1), words
    return used.ru_utime + used.ru_stime
