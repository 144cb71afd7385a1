# SPDX-License-Identifier: GPL-2.0-only
"""The results folder of one experiment: written atomically, held by one process, never half a run.

    results/<experiment>/<UTC>-<hash>/
        experiment.lock.yaml  env.json  *.csv  report.html  report.md  datapackage.json
        runs/<variant>/<machine>/<clock>/<block>/{run.json, console.log, console.jsonl, ...}

A boot writes into ``<block>.part``; the folder gets its name when ``run.json`` is in it. What a
crash or a repeated boot leaves behind is kept as ``<block>.attemptN`` and is no run.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ResultsError, SchemaError
from harness.files import disk_errors, open_lock, read_plain, write_atomic
from harness.foreign import MAX_JSON, check, may_be_large, parse_json, tame
from harness.model import GOOD, SCHEMA_VERSION, Model, Outcome, Run, Slot

RUN_FILE = "run.json"
LOCK = ".lock"
PID = 20
"""Bytes of a lock file that are read: it has the number of a process."""
FOLDERS = ("runs", "incoming", "aside", "figures")
"""Those that are written to; nobody else's folder may stand in for one."""
_EARLIER = ".attempt"
_NO_LINK = "is a symbolic link, which is not followed"


@dataclass(frozen=True)
class StoredRun:
    """A finished run and the folder that holds its evidence."""

    run: Run
    folder: Path


@dataclass(frozen=True)
class Damage:
    """Something in a results folder that cannot be read: named, set aside, never dropped."""

    path: Path
    reason: str
    foreign: bool = False
    """whole, but of another schema version"""

    def within(self, root: Path) -> str:
        """Its path as seen from a results folder, which others have at other places."""
        known = self.path.is_relative_to(root)
        return (self.path.relative_to(root) if known else self.path).as_posix()

    def said(self, root: Path) -> str:
        """Path and reason, the path as seen from a results folder."""
        return f"{self.within(root)}: {self.reason}"


@dataclass(frozen=True)
class Wrong:
    """A boot that did not go well, or one that was planned and of which nothing can be read.

    `key` is that of its slot, or a folder that cannot be listed; `reason` may be guest text.
    """

    key: str
    reason: str
    outcome: Outcome | None = None
    """how it ended; none where no record of it can be read"""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.reason}".removesuffix(": ") if self.outcome else self.reason


@dataclass(frozen=True)
class Results:
    """One results folder."""

    path: Path

    def folder(self, slot: Slot) -> Path:
        """Where the evidence of a boot goes."""
        return self.path / "runs" / slot.key

    def done(self, slot: Slot) -> bool:
        return (self.folder(slot) / RUN_FILE).is_file()

    def has(self, key: str) -> bool:
        """Whether there is anything of a finished boot, be it damaged."""
        return (self.path / "runs" / key).exists()

    def open_part(self, slot: Slot) -> tuple[Path, int]:
        """Makes the folder a boot writes into; answers it and the number of this attempt."""
        final = self.folder(slot)
        part = final.with_name(final.name + ".part")
        attempt = self._next_attempt(final)
        with disk_errors(part):
            if part.exists():
                part.rename(final.with_name(f"{final.name}{_EARLIER}{attempt}"))
                attempt += 1
            part.mkdir(parents=True)
        return part, attempt

    def finish(self, part: Path, run: Run) -> Path:
        """Writes ``run.json`` last and gives the folder its name: from here on the run counts."""
        write_atomic(part / RUN_FILE, to_json(run))
        final = part.with_name(part.name.removesuffix(".part"))
        with disk_errors(final):
            part.rename(final)
        return final

    def adopt(self, slot: Slot, run_id: str, folder: Path) -> bool:
        """Takes in a boot that was made elsewhere; answers whether it counts.

        The same boot can arrive more than once: the first one counts, any other is kept beside it.
        `folder` lies on the same disk. Raises `ResultsError` where it holds another boot, or none.
        """
        run = read_run(folder / RUN_FILE)
        said = (run.run_id, run.variant, run.machine, run.clock, run.block)
        if said != (run_id, *slot.cell, slot.block):
            raise ResultsError(f"holds another run than {run_id}", where=str(folder))
        final = self.folder(slot)
        counts = not self.done(slot)
        if not counts:
            final = final.with_name(f"{final.name}{_EARLIER}{self._next_attempt(final)}")
        with disk_errors(final):
            final.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(final)
        return counts

    def set_aside(self, slot: Slot) -> None:
        """Makes room for another attempt at a finished run, which is kept."""
        self.shelve(self.folder(slot))

    def shelve(self, final: Path) -> None:
        """Sets the folder of a boot aside, whatever is in it."""
        final.rename(final.with_name(f"{final.name}{_EARLIER}{self._next_attempt(final)}"))

    @staticmethod
    def _next_attempt(final: Path) -> int:
        return 1 + len(list(final.parent.glob(f"{final.name}{_EARLIER}*")))

    def listing(self) -> tuple[list[Path], list[Damage]]:
        """The record of every finished run, by variant, machine, clock and block; and the folders
        that cannot be listed.

        A record that is gone is among them: the folder of a boot gets its name when it is there.
        """
        damage: list[Damage] = []
        folders = [self.path / "runs"]
        for _ in ("variants", "machines", "clocks", "blocks"):
            folders = [inner for folder in folders for inner in _inner(folder, damage)]
        blocks = []
        for folder in folders:
            if folder.is_symlink():
                damage.append(Damage(folder, _NO_LINK))
            elif _finished(folder.name):
                blocks.append(folder)
        return sorted((block / RUN_FILE for block in blocks), key=_place), damage

    def files(self) -> list[Path]:
        """The records of `listing`."""
        return self.listing()[0]

    def read(self) -> tuple[list[StoredRun], list[Damage]]:
        """Every finished run in the order of `listing`, and what could not be read."""
        files, unlisted = self.listing()
        runs, damage = read_runs(files)
        return runs, [*unlisted, *damage]

    def wrong(self, planned: Iterable[Slot] = ()) -> tuple[Wrong, ...]:
        """What did not go well, of all that is here and all that was planned."""
        files, unlisted = self.listing()
        found = [Wrong(item.within(self.path), item.said(self.path)) for item in unlisted]
        missing = dict.fromkeys(slot.key for slot in planned)
        for path in files:
            key = slot_key(path)
            missing.pop(key, None)
            runs, damage = read_runs([path])
            found += [Wrong(key, item.said(self.path)) for item in damage]
            seen = [stored.run.judgement for stored in runs]
            found += [Wrong(key, j.reason, j.outcome) for j in seen if j.outcome not in GOOD]
        return (*found, *(Wrong(key, f"runs/{key}: no record") for key in missing))

    def each(self) -> Iterator[StoredRun]:
        """The same runs one after the other: many at once take much memory."""
        for path in self.files():
            yield from read_runs([path])[0]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process; a second start is refused. Ends with the process."""
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        for folder in (self.path / name for name in FOLDERS):
            if folder.is_symlink():
                remedy = "move what it leads to here, or work in a copy of the folder"
                raise ResultsError(_NO_LINK, where=str(folder), remedy=remedy)
        with disk_errors(self.path / LOCK):
            handle = open_lock(self.path / LOCK)
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ResultsError(
                    f"another harness writes here (process {_pid(handle.read(PID)) or 'unknown'})",
                    where=str(self.path),
                    remedy="wait for it, or stop it; the folder is free as soon as it has ended",
                ) from None
            handle.truncate(0)
            handle.seek(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    def writer(self) -> int | None:
        """The process that has left its number in the lock file, be it over or not."""
        try:
            return _pid(read_plain(self.path / LOCK, PID).decode("utf-8", "replace"))
        except OSError:
            return None


def _pid(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None


def to_json(record: Model) -> str:
    """A record as people and diffs like it: sorted by the model, indented, ending in a newline."""
    return json.dumps(record.model_dump(mode="json", exclude_none=True), indent=1) + "\n"


def read_run(path: Path) -> Run:
    """Reads one ``run.json``; raises `ResultsError` when it is damaged or of another schema."""
    try:
        data = read_plain(path, MAX_JSON)
        # Three times as fast as what tells what is wrong, and copes with numbers of any size.
        with contextlib.suppress(ValueError):
            if not may_be_large(data):
                return Run.model_validate_json(data)
        record = parse_json(data)
        if isinstance(record, dict):
            said = {key: tame(record.pop(key)) for key in ("probes",) if key in record}
            check(record)
            record |= said
    except OSError as error:
        raise ResultsError(f"not a run record: {error.strerror}", where=str(path)) from None
    except ValueError as error:
        raise ResultsError(f"not a run record: {error}", where=str(path)) from None
    version = record.get("schema_version") if isinstance(record, dict) else None
    if version != SCHEMA_VERSION:
        raise SchemaError(
            f"schema version {version!r}; this harness reads {SCHEMA_VERSION}", where=str(path)
        )
    try:
        return Run.model_validate(record)
    except ValueError as error:
        first = str(error).splitlines()[:3]
        raise ResultsError(f"not a run record: {' '.join(first)}", where=str(path)) from None


def slot_key(path: Path) -> str:
    """The slot that a file of a boot belongs to, as `Slot.key` has it."""
    return "/".join(path.parts[-5:-1])


def _inner(folder: Path, damage: list[Damage]) -> list[Path]:
    """What is in a folder but for plain files; what cannot be listed is added to `damage`.

    A link is not followed: it would lead out of the folder.
    """
    try:
        if folder.is_symlink():
            raise OSError(errno.ELOOP, _NO_LINK)
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:  # not there yet, or set aside meanwhile
        return []
    except OSError as error:
        damage.append(Damage(folder, f"cannot be listed: {error.strerror}"))
        return []
    return [folder / name for name in names]


def _finished(block: str) -> bool:
    return ".part" not in block and _EARLIER not in block


def _place(path: Path) -> tuple[Path, int, str]:
    """Blocks in the order of their numbers, the warm-up first: as in the dataset."""
    block = path.parent.name
    return path.parents[1], int(block) if block.isdecimal() else -1, block


def read_runs(files: Iterable[Path]) -> tuple[list[StoredRun], list[Damage]]:
    """The runs of these records, and what could not be read."""
    runs, damage = [], []
    for path in files:
        try:
            runs.append(StoredRun(read_run(path), path.parent))
        except ResultsError as error:
            damage.append(Damage(path, error.what, isinstance(error, SchemaError)))
    return runs, damage


def newest(root: Path, experiment: str, lock: str) -> Results | None:
    """The newest folder of this very experiment (same lock hash), finished or not."""
    folders = sorted((root / experiment).glob(f"*-{lock}"))
    return Results(folders[-1]) if folders else None


STORES = "stores.txt"
IDLE = "idle.txt"
PROFILE = "profile.txt"
"""What plugins write into QEMU's working directory (harness/qemu/src): one counts stores, the other
what the work clock moved while no CPU had anything to do."""
