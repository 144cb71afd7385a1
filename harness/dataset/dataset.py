# SPDX-License-Identifier: GPL-2.0-only
"""Run records to tidy tables: one row per observation, failed boots included.

The same runs give the same bytes, in whatever order they are read.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd

from harness.dataset import tables as package
from harness.dataset.columns import OPTIONAL, TABLES
from harness.dataset.observations import is_observed
from harness.dataset.repeats import Print, Repeats, fingerprint, look
from harness.dataset.rows import Row, phase_rows, probe_rows, run_row, store_rows
from harness.dataset.summary import Cell, summarise
from harness.dataset.tables import frame, from_csv, to_csv
from harness.errors import HarnessError, HostError, ResultsError
from harness.files import read_plain, write_atomic
from harness.gate import checks, statuses
from harness.model import LOCK_FILE, Lockfile, Outcome, Run
from harness.results import RUN_FILE, Damage, Ledger, Results, StoredRun, read_runs, slot_key
from harness.run import GateMark, gate_verdict, limit
from harness.text import one_line
from harness.units import format_size

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    work: Callable[[Item], Result], items: Sequence[Item], cpus: int | None = None
) -> list[Result]:
    """``[work(item) for item in items]``; in processes where there is more than one to do.

    `cpus` are those that this process may use, if not told. There `work` has to be a function of a
    module, and it sees the modules as they are now.
    """
    cpus = min(cpus or len(os.sched_getaffinity(0)), len(items))
    if cpus < 2:
        return [work(item) for item in items]
    # Forked, a worker has pandas loaded already; starting anew would cost it half a second.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(cpus, context, _begin) as pool:
        try:
            return list(pool.map(work, items))
        except BrokenProcessPool:
            raise HostError(
                "a worker process was killed", remedy="make room in memory, or use fewer CPUs"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    # Ctrl-C is for the parent, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A worker lives for seconds: looking for cycles among its rows took a quarter of its time.
    gc.disable()


OBSERVED = ("runs", "phases", "probes", "stores")
"""The tables that come from one run at a time."""

SUMMARISED = ("runs", "phases", "probes")
"""Those of them that the summary is made of."""

BATCH = 64
"""Runs that one process reads at once."""

Order = tuple[str, str, str, int, int, str, str]


@dataclass(frozen=True)
class Dataset:
    """The tables of one experiment, in the columns of `harness.columns`.

    `standing` is what the correctness gate said of each variant. `excerpts` holds the console
    excerpt of each boot that was not ok, by evidence folder; it is guest text: escape it.
    `repeats` says whether boots of the work clock that should be the same are.
    """

    runs: pd.DataFrame
    phases: pd.DataFrame
    probes: pd.DataFrame
    summary: pd.DataFrame
    gate: pd.DataFrame
    limits: pd.DataFrame
    stores: pd.DataFrame
    _: KW_ONLY
    lock: Lockfile | None = None
    standing: dict[str, GateMark] = field(default_factory=dict)
    damage: tuple[Damage, ...] = ()
    repeats: Repeats = field(default_factory=Repeats)
    excerpts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame], lock: Lockfile | None = None) -> Self:
        """The tables that `load` answers, with what is known of their experiment."""
        return cls(*(tables[name] for name in TABLES), lock=lock)

    def tables(self) -> dict[str, pd.DataFrame]:
        """File stem to table, in the order of the data package."""
        return {name: getattr(self, name) for name in TABLES}


def collate(
    results: Results, reread: Callable[[StoredRun], Run] | None = None, batch: int = BATCH
) -> Dataset:
    """Reads a results folder; what cannot be read is in `damage`, by name.

    With `reread` each run is derived again from its raw evidence; where that is damaged the figures
    are those that were written when it was whole.
    """
    path, damage = results.path / LOCK_FILE, []
    lock = None
    try:
        lock = Lockfile.read(path)
    except HarnessError as error:
        damage.append(Damage(path, error.what))
    damage += Ledger(results.path).read()[1]
    files, unlisted = results.listing()
    damage += unlisted
    batches = [files[n : n + batch] for n in range(0, max(1, len(files)), batch)]
    read = functools.partial(_read, reread=reread, lock=lock, root=results.path)
    found = each(read, batches)
    damage += [item for _, items in found for item in items]
    return _join([part for part, _ in found], lock, damage, results.path)


def tabulate(
    stored: Iterable[StoredRun],
    lock: Lockfile | None,
    damage: Iterable[Damage] = (),
    root: Path = Path(),
) -> Dataset:
    """Turns run records into tables. The order of `stored` does not matter."""
    part = _part(stored, lock, root)
    return _join([part], lock, [*damage, *part.damage], root)


@dataclass(frozen=True)
class _Part:
    """Some runs as tables. `orders` and `sizes` go by run: its place, and its rows per table.

    `kept` are the runs themselves, where a table comes from all of them together.
    """

    orders: list[Order]
    sizes: dict[str, list[int]]
    tables: dict[str, pd.DataFrame]
    excerpts: dict[str, tuple[str, ...]]
    kept: list[Run]
    prints: list[Print]
    damage: list[Damage]


def _read(
    files: Sequence[Path],
    reread: Callable[[StoredRun], Run] | None,
    lock: Lockfile | None,
    root: Path,
) -> tuple[_Part, list[Damage]]:
    stored, damage = read_runs(files)
    for place, item in enumerate(stored if reread else ()):
        assert reread
        try:
            stored[place] = StoredRun(reread(item), item.folder)
        except ResultsError as error:
            path = Path(error.where or item.folder)
            damage.append(Damage(path, f"{error.what}; the figures are those of run.json"))
        except Exception as error:
            why = (
                f"its evidence stops our parser ({_kind(error)}); the figures are those of run.json"
            )
            damage.append(Damage(item.folder, why))
    part = _part(stored, lock, root)
    return part, damage + part.damage


def _kind(error: Exception) -> str:
    return f"a bug, {type(error).__name__}: {str(error)[:200]}"


def _part(stored: Iterable[StoredRun], lock: Lockfile | None, root: Path) -> _Part:
    rows: dict[str, list[Row]] = {name: [] for name in OBSERVED}
    sizes: dict[str, list[int]] = {name: [] for name in OBSERVED}
    orders, excerpts, kept = [], {}, []
    prints: list[Print] = []
    damage: list[Damage] = []
    together = lock is not None and (lock.experiment.gated or lock.experiment.search)
    for run, place in sorted(((s.run, s.folder) for s in stored), key=_order):
        folder = _relative(place, root)
        try:
            found = {
                "runs": [run_row(run, lock, folder)],
                "phases": phase_rows(run),
                "probes": probe_rows(run),
                "stores": store_rows(run),
            }
        except Exception as error:  # one record is no reason to lose the others
            damage.append(Damage(place / RUN_FILE, f"no rows come of it ({_kind(error)})"))
            continue
        # Evidence that cannot be read is in `damage` already.
        with contextlib.suppress(ResultsError):
            prints += filter(None, [fingerprint(run, place)])
        orders.append(_order((run, place)))
        for name, own in found.items():
            rows[name] += own
            sizes[name].append(len(own))
        if together:
            kept.append(run)
        if run.judgement.outcome is not Outcome.OK:
            excerpts[folder] = run.judgement.excerpt
    tables = {name: frame(rows[name], TABLES[name]) for name in OBSERVED}
    return _Part(orders, sizes, tables, excerpts, kept, prints, damage)


def _join(
    parts: Sequence[_Part],
    lock: Lockfile | None,
    damage: Iterable[Damage],
    root: Path,
) -> Dataset:
    """The dataset of all parts. A gate says itself what it found; any other has it in its lock."""
    frames, damage = _in_order(parts), list(damage)
    kept = [run for part in parts for run in part.kept]
    unread = {slot_key(item.path): item.said(root) for item in damage}
    known = checks.known_failures(lock.variants) if lock else {}
    proved = checks.checks(kept, lock.experiment if lock else None, unread, known)
    limits = frame(limit.rows(kept, lock), TABLES["limits"])
    proofs = [row | {"detail": one_line(row["detail"])} for row in checks.rows(proved)]
    standing = statuses(lock)
    if lock and proofs:
        standing = {name: gate_verdict(proofs, checks.split(name)[0]) for name in lock.variants}
    summary = frame(summarise(lock, *(frames[name] for name in SUMMARISED)), TABLES["summary"])
    for table in (frames["runs"], summary, limits):
        table["gate"] = table["variant"].map(standing).astype("string")
    return Dataset(
        **frames,
        summary=summary,
        gate=frame(proofs, TABLES["gate"]),
        limits=limits,
        lock=lock,
        standing=standing,
        damage=tuple(sorted(damage, key=lambda d: str(d.path))),
        repeats=look(item for part in parts for item in part.prints),
        excerpts={key: lines for part in parts for key, lines in part.excerpts.items()},
    )


def _in_order(parts: Sequence[_Part]) -> dict[str, pd.DataFrame]:
    """The tables that come from one run at a time, runs in order whatever part they are in."""
    orders = [order for part in parts for order in part.orders]
    places = sorted(range(len(orders)), key=orders.__getitem__)
    frames = {}
    for name in OBSERVED:
        # Taken out: each table is there twice at most, and never all of them.
        table = pd.concat([part.tables.pop(name) for part in parts], ignore_index=True)
        sizes = np.array([size for part in parts for size in part.sizes[name]], dtype=int)
        if places != sorted(places):
            ends = sizes.cumsum()
            spans = [np.arange(ends[n] - sizes[n], ends[n]) for n in places]
            table = table.take(np.concatenate(spans)).reset_index(drop=True)
        frames[name] = table
    return frames


def _order(item: tuple[Run, Path]) -> Order:
    run, folder = item
    return (run.variant, run.machine, run.clock, run.block, run.attempt, run.run_id, str(folder))


def _relative(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.as_posix()


def write(dataset: Dataset, folder: Path) -> list[Path]:
    """Writes the CSVs and their ``datapackage.json`` into `folder`; answers the files."""
    paths, resources = [], []
    for name, table in dataset.tables().items():
        if name in OPTIONAL and table.empty:
            continue
        data = to_csv(table)
        write_atomic(folder / f"{name}.csv", data)
        resources.append(package.resource(name, data))
        paths.append(folder / f"{name}.csv")
    about = json.dumps(_package(dataset, resources, folder), indent=1)
    write_atomic(folder / package.FILE, about + "\n")
    return [*paths, folder / package.FILE]


def _package(dataset: Dataset, resources: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    experiment = dataset.lock.experiment if dataset.lock else None
    return {
        "profile": "tabular-data-package",
        "name": experiment.name if experiment else "experiment",
        "title": experiment.description if experiment else "",
        "licenses": [
            {"name": "GPL-2.0-only", "path": "https://spdx.org/licenses/GPL-2.0-only.html"}
        ],
        "experiment_hash": dataset.lock.hash if dataset.lock else "",
        "damaged": [{"path": d.within(folder), "reason": d.reason} for d in dataset.damage],
        "resources": resources,
    }


MAX_CSV = 4 << 30
"""Bytes of a table: 20,000 boots have some 100 MB."""
_AGAIN = "run `harness collate` on the folder: the raw evidence gives it again"


def load_tables(
    folder: Path | str, keep: Mapping[str, package.Keep] | None = None
) -> dict[str, pd.DataFrame]:
    """Reads the CSVs of a results folder, each column with its type; see `harness.columns`.

    Columns that an earlier version did not write are empty. `keep` says of some tables which rows
    are wanted; the others are never all there. Raises `ResultsError` for a file that
    is missing, or not the one that ``datapackage.json`` describes.
    """
    tables = {}
    known = package.checksums(Path(folder))
    for name, columns in TABLES.items():
        path = Path(folder) / f"{name}.csv"
        if name in OPTIONAL and not os.path.lexists(path):
            tables[name] = frame((), columns)
            continue
        try:
            data = read_plain(path, MAX_CSV)
        except FileNotFoundError:
            raise ResultsError(
                "no such file", where=str(path), remedy="run `harness collate` on the folder first"
            ) from None
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
            raise ResultsError(what, where=str(path), remedy=_AGAIN) from None
        if known.get(name) not in (None, (len(data), hashlib.sha256(data).hexdigest())):
            raise ResultsError(
                f"half written or altered: {len(data)} bytes, {package.FILE} says {known[name][0]}",
                where=str(path),
                remedy=_AGAIN,
            )
        try:
            tables[name] = from_csv(data, columns, (keep or {}).get(name))
        except ValueError as error:
            what = f"half written or altered: {str(error).splitlines()[0]}"
            raise ResultsError(what, where=str(path), remedy=_AGAIN) from None
    return tables


def load_observed(path: Path | str) -> Dataset:
    """As `load`, but of what probes said only what `observations` take: a tenth of it."""
    return _load(Path(path), {"probes": is_observed})


def load(path: Path | str) -> Dataset:
    """Reads the CSVs of a results folder, each column with its type.

    The tables are attributes: `runs`, `phases`, `probes`, `summary`, `gate` and so on; `lock` has
    the experiment with its variants and machines, none where that file is missing. `describe` says
    what every column means and in which unit it is.
    """
    return _load(Path(path))


def _load(folder: Path, keep: Mapping[str, package.Keep] | None = None) -> Dataset:
    file = folder / LOCK_FILE
    lock = Lockfile.read(file) if os.path.lexists(file) else None
    return Dataset.of(load_tables(folder, keep), lock)


def describe(table: str) -> pd.DataFrame:
    """Name, type, unit and meaning of each column of a table: of `runs`, `phases`, and so on."""
    about = [(c.name, c.type, c.unit or "", c.description) for c in TABLES[table]]
    return pd.DataFrame(about, columns=["column", "type", "unit", "meaning"]).set_index("column")


def cells_of(dataset: Dataset) -> list[Cell]:
    """(variant, machine, clock) in the order of the experiment, machines by their memory."""
    runs = dataset.runs
    there = {tuple(map(str, k)) for k in runs[["variant", "machine", "clock"]].to_numpy().tolist()}
    lock = dataset.lock
    variants = list(lock.experiment.variants) if lock else []
    memory = {n: m.memory for n, m in lock.machines.items()} if lock else {}

    def order(cell: tuple[str, ...]) -> tuple[Any, ...]:
        place = variants.index(cell[0]) if cell[0] in variants else len(variants)
        return cell[2], memory.get(cell[1], 0), cell[1], place, cell[0]

    return [(c[0], c[1], c[2]) for c in sorted(there, key=order)]


def machine_title(dataset: Dataset, machine: str) -> str:
    """A machine with its size, nodes and CPUs, as far as they are known."""
    about = dataset.runs[dataset.runs["machine"] == machine].iloc[0]
    if about[["memory_bytes", "nodes", "cpus"]].isna().any():
        return machine
    size = format_size(int(about["memory_bytes"]))
    return f"{machine} ({size}, {about['nodes']} nodes, {about['cpus']} CPUs)"
