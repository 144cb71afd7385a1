# SPDX-License-Identifier: GPL-2.0-only
"""How far an experiment is, read from a folder that another process writes to.

Nothing is held or changed there. A record is read once: it never changes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import ResultsError
from harness.files import open_plain
from harness.model import GOOD, LOCK_FILE, Clock, Lockfile, Slot
from harness.parse import CONSOLE, dmesg, outcome
from harness.qemu import footprint
from harness.results import Damage, Results, read_run, slot_key

HEAD_BYTES, TAIL_BYTES = 1 << 18, 1 << 16
"""What is read of a console: a guest that floods it must not hold us up."""


@dataclass(frozen=True)
class Running:
    """A boot that is on its way: its slot, seconds so far, how far its console tells it came.

    `line` is guest text: escape it.
    """

    key: str
    seconds: float
    phase: str
    line: str


@dataclass(frozen=True)
class Ended:
    """A boot that is over; `reason` may be guest text."""

    key: str
    cell: tuple[str, str, Clock]
    outcome: str
    reason: str
    wall_s: float


@dataclass(frozen=True)
class Progress:
    """One look. `writer` is the process that holds the folder; `left_s` is a guess."""

    name: str
    boots: int
    done: int
    cells: int
    cells_done: int
    outcomes: Mapping[str, int]
    failures: tuple[Ended, ...]
    damage: tuple[Damage, ...]
    running: tuple[Running, ...]
    left_s: float | None
    writer: int | None

    @property
    def left(self) -> int:
        return self.boots - self.done

    @property
    def good(self) -> bool:
        return not self.failures and not self.damage


@dataclass
class Observer:
    """Looks at one folder again and again."""

    results: Results
    _known: dict[Path, Ended] = field(default_factory=dict)

    def look(self, now: float) -> Progress:
        """What there is at `now`, seconds of the clock that file times are of."""
        lock = self._lock()
        ended, damage = self._read()
        slots = lock.experiment.schedule() if lock and not lock.experiment.search else ()
        done = {boot.key for boot in ended}
        left = [slot for slot in slots if slot.key not in done]
        open_cells = {slot.cell for slot in left}
        running = tuple(self._running(now))
        return Progress(
            name=lock.experiment.name if lock else self.results.path.name,
            boots=max(len(slots), len(ended)),
            done=len(ended),
            cells=len({slot.cell for slot in slots}),
            cells_done=len({slot.cell for slot in slots} - open_cells),
            outcomes=Counter(boot.outcome for boot in ended),
            failures=tuple(boot for boot in ended if boot.outcome not in GOOD),
            damage=tuple(damage),
            running=running,
            left_s=_left(lock, left, ended, running) if lock and left else None,
            writer=self._writer(),
        )

    def _lock(self) -> Lockfile | None:
        path = self.results.path / LOCK_FILE
        return Lockfile.read(path) if os.path.lexists(path) else None

    def _read(self) -> tuple[list[Ended], list[Damage]]:
        ended = []
        files, damage = self.results.listing()
        for path in files:
            if path not in self._known:
                try:
                    self._known[path] = _ended(path)
                except ResultsError as error:
                    if path.parent.exists():  # else it was set aside meanwhile
                        damage.append(Damage(path, error.what))
                    continue
            ended.append(self._known[path])
        return ended, damage

    def _running(self, now: float) -> Iterator[Running]:
        for part in sorted(self.results.path.glob("runs/*/*/*/*.part")):
            try:
                begun, console = part.stat().st_ctime, _console(part / CONSOLE)
            except OSError:  # over meanwhile
                continue
            lines = console.text.rstrip().rsplit("\n", 1)
            phase = outcome.last_phase(console, ()) or "firmware"
            key = slot_key(part / CONSOLE).removesuffix(".part")
            yield Running(key, max(0.0, now - begun), phase, lines[-1].strip())

    def _writer(self) -> int | None:
        if (pid := self.results.writer()) is None:
            return None
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return None
        return pid if state not in "ZX" and pid != os.getpid() else None


def _ended(path: Path) -> Ended:
    run = read_run(path)
    cell, judgement = (run.variant, run.machine, run.clock), run.judgement
    return Ended(slot_key(path), cell, judgement.outcome, judgement.reason, run.ending.wall_s)


def _console(path: Path) -> dmesg.Dmesg:
    try:
        file = os.fdopen(open_plain(path), "rb")
    except OSError:
        return dmesg.read(b"")
    with file:
        data = file.read(HEAD_BYTES)
        end = file.seek(0, os.SEEK_END)
        if end > HEAD_BYTES + TAIL_BYTES:
            file.seek(end - TAIL_BYTES)
            data += b"\n" + file.read()
        elif end > HEAD_BYTES:
            file.seek(HEAD_BYTES)
            data += file.read()
    return dmesg.read(data)


def _left(
    lock: Lockfile, left: Sequence[Slot], runs: Sequence[Ended], running: Sequence[Running]
) -> float:
    """Seconds: what boots of a cell took, else what is predicted, as far as predictions held."""
    took: dict[tuple[str, str, Clock], list[float]] = {}
    for ended in runs:
        took.setdefault(ended.cell, []).append(ended.wall_s)
    predicted = {cell: _predicted(lock, *cell) for cell in {*took, *(s.cell for s in left)}}
    spent = sum(map(sum, took.values()))
    foreseen = sum(predicted[cell] * len(each) for cell, each in took.items())
    factor = spent / foreseen if spent and foreseen else 1.0
    total = {"time": 0.0, "work": 0.0}
    for slot in left:
        each = took.get(slot.cell)
        total[slot.clock] += sum(each) / len(each) if each else factor * predicted[slot.cell]
    for boot in running:
        clock = boot.key.split("/")[2]
        total[clock] = max(0.0, total.get(clock, 0.0) - boot.seconds)
    # Boots of the work clock share the host, one a CPU.
    return total["time"] + total["work"] / max(1, lock.environment.host_cpus)


def _predicted(lock: Lockfile, variant: str, machine: str, clock: Clock) -> float:
    if variant not in lock.variants or machine not in lock.machines:
        return 0.0
    model, of = lock.variants[variant].memory_model, lock.machines[machine]
    taken = lock.experiment.taken((variant, machine, clock), of.memory)
    need = footprint.footprint(of, model, taken)
    return footprint.boot_seconds(need, clock, lock.experiment.guest is not None)
