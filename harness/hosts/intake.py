# SPDX-License-Identifier: GPL-2.0-only
"""What a host brought of a block, on its way into the results: unpacked, checked, taken in whole.

It is read as hostile. A block counts with all of its boots or not at all; what a failed attempt
left lies aside.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from harness.errors import Failure, RemoteError, ResultsError
from harness.hosts import archive
from harness.hosts.supervisor import LOG, OUTCOME
from harness.model import Model, Run, Slot
from harness.results import RUN_FILE, Results, read_run
from harness.text import one_line

RUNS = "results/runs"


class Outcome(Model):
    """How a block ended on its host."""

    cause: Literal["ended", "deadline", "no-process", "lost"]
    status: Annotated[int, Field(ge=-255, le=255)]


def take_in(
    results: Results, lock: str, slots: Sequence[Slot], archived: object, name: str
) -> list[Run]:
    """Takes every boot of a block in, once all of them are seen to be there.

    `lock` is the hash of the experiment's; `name` that of a folder for the attempt. Raises
    `RemoteError` where anything is not what was asked for.
    """
    folder = results.path / "incoming" / name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        archive.unpack(archived, folder, len(slots))
        check_outcome(folder)
        runs = [_read(lock, slot, folder) for slot in slots]
        for slot, run in zip(slots, runs, strict=True):
            results.adopt(slot, run.run_id, folder / RUNS / slot.key)
    finally:
        keep(folder)
    return runs


def check_outcome(folder: Path) -> None:
    """Raises `RemoteError` unless a block came to its end on its host."""
    said = ""
    try:
        outcome = Outcome.model_validate_json((folder / OUTCOME).read_bytes())
        with contextlib.suppress(FileNotFoundError):
            said = (folder / LOG).read_bytes()[-2000:].decode("utf-8", "replace")
    except (OSError, ValidationError):
        raise RemoteError(Failure.BAD_ANSWER, "sends no outcome") from None
    if outcome != Outcome(cause="ended", status=0):
        last = one_line(said.strip().rpartition("\n")[2], 300) or ""
        what = f"the block {outcome.cause}, status {outcome.status}: {last}"
        raise RemoteError(Failure.COMMAND, what)


def keep(folder: Path) -> None:
    """What is left of an attempt lies aside; that all went well is no evidence."""
    if any(path.is_file() for path in (folder / "results").rglob("*")):
        aside = folder.parents[1] / "aside" / folder.name
        aside.parent.mkdir(exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _read(lock: str, slot: Slot, folder: Path) -> Run:
    try:
        run = read_run(folder / RUNS / slot.key / RUN_FILE)
    except ResultsError as error:
        raise RemoteError(Failure.BAD_ANSWER, f"{slot.key}: {error.what}"[:300]) from None
    said = (run.run_id, run.variant, run.machine, run.clock, run.block)
    if said != (slot.run_id(lock), *slot.cell, slot.block):
        raise RemoteError(Failure.BAD_ANSWER, f"{slot.key}: is another run")
    return run
