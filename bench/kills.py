# SPDX-License-Identifier: GPL-2.0-only
"""Kills: ``python -m bench.kills --kills 300`` ends starts of `harness run` at random moments.

Each start is a process of its own that goes on with what the one before it has left, and is ended
by the next signal of all that end a program. After each of them everything that it had begun has to
be gone, and every run that was finished has to be there, whole, the same to the byte, and once. At
the end one start goes on to the end. QEMU is the fake one of the tests: what it boots is over in a
quarter of a second, so that every moment of a run is met; all else is real.

Figures of several calls with the same FILE add up. Exit status 1 where anything was lost.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.errors import ResultsError
from harness.files import write_atomic
from harness.results.folder import RUN_FILE, Results
from tests.support.checkout import lay_checkout

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "bench/results/kills.json"
IGNORED = {signal.SIGPIPE, signal.SIGXFSZ}
"""Python turns these into errors; they end no program of ours."""
HARMLESS = {"SIGCHLD", "SIGCLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"}
HARMLESS |= {"SIGURG", "SIGWINCH", "SIGRTMIN", "SIGRTMAX"}
ENDING = tuple(s for s in signal.Signals if s.name not in HARMLESS and s not in IGNORED)
"""Signals whose default is the end of a program."""
BLOCKS = 20
LATEST_S = 4.0
"""After its begin a start is ended at any moment up to this."""
GONE_S = 20.0
"""By then all that a start has begun has to be gone."""


@dataclass
class Signalled:
    """What came of one signal."""

    kills: int = 0
    longest_s: float = 0.0
    """until everything was gone"""


@dataclass
class Toll:
    """What came of all kills; everything below `finished` has to be 0."""

    kills: int = 0
    finished: int = 0
    """runs, all of them looked at again after each kill"""
    lost: int = 0
    """finished runs that were gone, or other ones, later"""
    doubled: int = 0
    """runs that were there twice"""
    damaged: int = 0
    """records that could not be read"""
    left: int = 0
    """starts of which a process was still there in the end"""
    refused: int = 0
    """starts that ended by themselves, but not well"""
    folders: int = 0
    """of ours among temporary ones after the last start; a compiler that was killed leaves files"""
    signals: dict[str, Signalled] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether nothing was lost, doubled, damaged or left behind."""
        bad = (self.lost, self.doubled, self.damaged, self.left, self.refused, self.folders)
        return self.kills > 0 and not any(bad)

    def add(self, file: Path) -> Toll:
        """Together with what a file says of earlier ones."""
        if not file.is_file():
            return self
        before = json.loads(file.read_text(encoding="utf-8"))
        for name, told in before.pop("signals").items():
            mine = self.signals.setdefault(name, Signalled())
            mine.kills += told["kills"]
            mine.longest_s = max(mine.longest_s, told["longest_s"])
        for name, count in before.items():
            setattr(self, name, getattr(self, name) + count)
        return self


class Campaign:
    """An experiment in a checkout of its own, which is begun and ended again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._root, self._temporary = folder / "checkout", folder / "tmp"
        self._temporary.mkdir()
        self._env = {**os.environ, **lay_checkout(self._root)}
        self._env |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(self._temporary)}
        self._mark = f"TMPDIR={self._temporary}".encode()
        file = self._root / "experiments/pair.yaml"
        file.write_text(file.read_text().replace("blocks: 2", f"blocks: {BLOCKS}"))
        self._draw, self._known = random.Random(seed), dict[Path, str]()
        self._next: tuple[str, ...] = ()
        """words of the next start: where one has come to its end, there is nothing left to end"""
        self.toll = Toll()

    def kill(self, number: signal.Signals) -> bool:
        """Begins a start and ends it; whether it was ended before its own end."""
        before = self._folders()
        process = self._start(*self._next)
        try:
            process.wait(self._draw.uniform(0, LATEST_S))
        except subprocess.TimeoutExpired:
            pass
        else:
            self.toll.refused += process.returncode != 0
            self._next = ("--fresh",)
            return False
        process.send_signal(number)
        sent = time.monotonic()
        while self._there() and time.monotonic() < sent + GONE_S:
            process.poll()
            time.sleep(0.01)
        told = self.toll.signals.setdefault(number.name, Signalled())
        told.longest_s = round(max(told.longest_s, time.monotonic() - sent), 2)
        told.kills += 1
        self.toll.kills += 1
        if there := self._there():
            self.toll.left += 1
            for pid in there:
                os.kill(pid, signal.SIGKILL)
        process.wait()
        if self._folders() > before:
            self._next = ()
        self.look()
        return True

    def look(self) -> None:
        """Counts what is there, and what is no longer."""
        seen, ids = dict[Path, str](), list[tuple[Path, str]]()
        for folder in self._root.glob("results/pair/*"):
            try:
                stored, damage = Results(folder).read()
            except ResultsError:
                stored, damage = [], []
            self.toll.damaged += len(damage)
            ids += [(folder, item.run.run_id) for item in stored]
            for item in stored:
                file = item.folder / RUN_FILE
                seen[file] = hashlib.sha256(file.read_bytes()).hexdigest()
        self.toll.doubled += len(ids) - len(set(ids))
        self.toll.lost += sum(seen.get(file) != known for file, known in self._known.items())
        self._known = seen
        self.toll.finished = len(seen)

    def finish(self) -> None:
        """The last start goes on to the end."""
        process = self._start(*self._next)
        self.toll.refused += process.wait() != 0
        self.look()
        newest = max(self._root.glob("results/pair/*"))
        with (newest / "runs.csv").open(newline="") as file:
            outcomes = [row["outcome"] for row in csv.DictReader(file)]
        self.toll.lost += len(outcomes) != 2 * (BLOCKS + 1) or set(outcomes) != {"ok"}
        self.toll.folders = len(list(self._temporary.glob("pageinit-*")))

    def _folders(self) -> int:
        return len(list(self._root.glob("results/pair/*")))

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "harness", "run", "experiments/pair.yaml", *words]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            argv, cwd=self._root, env=self._env, stdin=quiet, stdout=quiet, stderr=quiet,
            preexec_fn=_begin,  # noqa: PLW1509 there is one thread
        )  # fmt: skip

    def _there(self) -> list[int]:
        """All processes that a start has begun, itself included, but those that only wait."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                mine = self._mark in (path / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mine:
                found.append(int(path.name))
        return found


def _begin() -> None:
    # A shell has jobs in its background ignore some of them.
    for number in ENDING:
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Kills, and says what came of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=60, metavar="N")
    parser.add_argument("--seed", type=int, default=int(time.time()), metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"as {FILE.relative_to(ROOT)}")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        campaign = Campaign(Path(folder), asked.seed)
        while campaign.toll.kills < asked.kills:
            number = ENDING[campaign.toll.kills % len(ENDING)]
            if campaign.kill(number):
                print(f"{campaign.toll.kills}: {number.name}", file=sys.stderr, flush=True)
        campaign.finish()
    toll = campaign.toll
    if asked.json:
        toll = toll.add(asked.json)
        write_atomic(asked.json, json.dumps(asdict(toll), indent=1) + "\n")
    print(json.dumps(asdict(toll) | {"seed": asked.seed}, indent=1))
    return int(not toll.good)


if __name__ == "__main__":
    sys.exit(main())
