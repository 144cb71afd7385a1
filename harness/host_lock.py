# SPDX-License-Identifier: GPL-2.0-only
"""Whose turn it is on this host: a boot of the time clock has it alone, all else shares it.

Two harnesses on one host would time each other. They agree by locks in their cache folder, which
end with the process that holds them. Who waits to be alone lets nobody else begin meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from io import TextIOWrapper
from pathlib import Path

from harness.files import disk_errors

POLL_S = 0.2

Waits = Callable[[str], None]
"""Is told once, in words, for whom it is that nothing goes on."""


@contextlib.asynccontextmanager
async def turn(folder: Path, alone: bool, waits: Waits) -> AsyncIterator[None]:
    """Holds the host, alone or with others who share it. `folder` is the same for all of them."""
    with _files(folder) as (door, room):
        await _lock(door, fcntl.LOCK_EX, waits, door)
        _sign(door, alone)
        await _lock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, waits, door)
        if not alone:
            fcntl.flock(door, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def beside(folder: Path, waits: Waits) -> Iterator[None]:
    """Holds the host with others who share it, for work that is no boot."""
    with _files(folder) as (door, room):
        for file, kind in ((door, fcntl.LOCK_EX), (room, fcntl.LOCK_SH)):
            if not _take(file, kind):
                waits(_who(door))
                fcntl.flock(file, kind)
        _sign(door, False)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def _files(folder: Path) -> Iterator[tuple[TextIOWrapper, TextIOWrapper]]:
    """Who waits at the door lets nobody else into the room, and stays there while alone in it."""
    with contextlib.ExitStack() as held:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            files = [
                held.enter_context((folder / f"{n}.lock").open("a+")) for n in ("door", "room")
            ]
        yield files[0], files[1]


async def _lock(file: TextIOWrapper, kind: int, waits: Waits, door: TextIOWrapper) -> None:
    told = False
    while not _take(file, kind):
        if not told:
            waits(_who(door))
            told = True
        await asyncio.sleep(POLL_S)


def _take(file: TextIOWrapper, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(door: TextIOWrapper, alone: bool) -> None:
    """Who is alone leaves its number on the door; all others leave it blank."""
    door.truncate(0)
    if alone:
        door.write(str(os.getpid()))
    door.flush()


def _who(door: TextIOWrapper) -> str:
    door.seek(0)
    pid = door.read(20).strip()
    if pid.isdecimal() and int(pid) != os.getpid():
        return f"waits for process {pid}, which has the host alone to measure"
    return "waits for others to be done, to have the host alone to measure"
