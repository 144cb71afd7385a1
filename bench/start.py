# SPDX-License-Identifier: GPL-2.0-only
"""How long a short command takes from the shell's point of view."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from bench.figure import Figure
from bench.setting import Setting

ROUNDS = 15
AIM_S = 0.3


def measure(setting: Setting) -> Iterator[Figure]:
    """Python alone and two commands of the harness, in turns."""
    log = str(min(setting.golden.glob("*.log")))
    commands = {
        "start: python alone": ("-c", "pass"),
        "start: harness --help": ("-m", "harness", "--help"),
        "start: harness parse": ("-m", "harness", "parse", log, "--json"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, words in commands.items():
            start = time.perf_counter()
            # `parse` answers 1 for a boot that went wrong.
            subprocess.run([sys.executable, *words], capture_output=True, check=False)
            seconds[name].append(time.perf_counter() - start)
    for name, values in seconds.items():
        aim = None if name.endswith("alone") else AIM_S
        yield Figure(name, "s", tuple(values), below=aim)
