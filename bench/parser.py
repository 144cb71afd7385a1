# SPDX-License-Identifier: GPL-2.0-only
"""How fast a console log is read and judged, and that no input makes it much slower."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.figure import Figure
from bench.setting import Setting
from harness.parse import dmesg
from harness.parse import outcome as judge

log = logging.getLogger(__name__)

SIZE = dmesg.MAX_BYTES
ROUNDS = 5
AIM_MB_S = 50.0
AIM_RATIO = 0.2

HOSTILE: dict[str, bytes] = {
    "one line": b"a",
    "short lines without stamps": b"x\n",
    "colours": b"\x1b[31m",
    "escapes cut short": b"\x1b[0;",
    "nothing but warnings": b"[    1.000000] WARNING: x\n",
    "almost banners": b"[    1.000000] not Linux version 1\n",
    "marks": b"[    1.1] boot-marks: phase=boot node=-1 start=1 end=2 busy=1 calls=1 pages=1\n",
}
"""What is repeated to `SIZE`."""


def measure(setting: Setting) -> Iterator[Figure]:
    """Logs of good boots, of bad ones, and hostile ones in turns, each round all of them."""
    good, bad = _golden(setting.golden)
    kept = b"\n".join(b"Nov 24 05:06:04 host kernel: " + line for line in good.split(b"\n"))
    names = (
        *("report, good boots", "report, bad boots", "report, as syslog keeps them"),
        *("read alone", "every line parsed"),
    )
    speeds: dict[str, list[float]] = {name: [] for name in names}
    ratios: dict[str, list[float]] = {name: [] for name in (*HOSTILE, "random bytes")}
    for number in range(ROUNDS):
        log.info(f"parser: round {number + 1} of {ROUNDS}")
        plain = _speed(judge.report, good)
        for name, speed in zip(
            names,
            (
                plain,
                _speed(judge.report, bad),
                _speed(judge.report, kept),
                _speed(dmesg.read, good),
                _speed(_lines, good[: len(good) // 4]),
            ),
            strict=True,
        ):
            speeds[name].append(speed)
        for name, pattern in HOSTILE.items():
            ratios[name].append(_speed(judge.report, _fill(pattern)) / plain)
        noise = random.Random(number).randbytes(SIZE)
        ratios["random bytes"].append(_speed(judge.report, noise) / plain)
    note = f"golden logs repeated to {len(good) >> 20} MiB"
    for name, values in speeds.items():
        aim = AIM_MB_S if name.startswith("report") else None
        yield Figure(f"parser: {name}", "MB/s", tuple(values), above=aim, note=note)
    for name, values in ratios.items():
        note = f"{SIZE >> 20} MiB; ratio of the speeds"
        yield Figure(f"parser: {name}", "of good", tuple(values), above=AIM_RATIO, note=note)


def _golden(folder: Path) -> tuple[bytes, bytes]:
    """The logs of boots that ended ok and those of all others, as long as they are read whole."""
    found: dict[bool, list[bytes]] = {True: [], False: []}
    for path in sorted(folder.glob("*.log")):
        outcome = json.loads(path.with_suffix(".json").read_bytes())["outcome"]
        found[outcome == "ok"].append(path.read_bytes())
    good, bad = (b"".join(logs) for logs in (found[True], found[False]))
    return _repeat(good), _repeat(bad)


def _repeat(logs: bytes) -> bytes:
    return logs * min(SIZE // len(logs), dmesg.MAX_LINES // logs.count(b"\n"))


def _fill(pattern: bytes) -> bytes:
    return (pattern * (SIZE // len(pattern) + 1))[:SIZE]


def _lines(data: bytes) -> object:
    return dmesg.read(data).lines


def _speed(work: Callable[[bytes], object], data: bytes) -> float:
    """Megabytes (10^6) a second."""
    start = time.perf_counter()
    work(data)
    return len(data) / 1e6 / (time.perf_counter() - start)
