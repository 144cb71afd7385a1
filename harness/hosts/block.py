# SPDX-License-Identifier: GPL-2.0-only
"""A block on a host: what it needs, the task that has it booted there, and what comes back.

The host knows the attempt by one name. However many tasks ask for that, it is begun once, and the
next one finds it under way or done. ``python -m harness.hosts.block FOLDER`` boots it.
"""

from __future__ import annotations

import fcntl
import functools
import gc
import glob
import hashlib
import json
import os
import platform
import queue
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts import archive, supervisor
from harness.model import Block, Model, Slot

if TYPE_CHECKING:
    from harness.model import Lockfile
    from harness.run import Session


TOPIC = "pageinit"
"""Under which a task says where it is."""
PLAN = "plan.json"
ORDER_S = 300
"""That a task waits to be told to begin, while files come."""
LATE_S = 30
"""Beyond the deadline of a block: for its supervisor to write the outcome."""
LOOK_S = 0.2

Files = dict[str, Path | bytes]
"""Files, or what is in them, by their SHA-256."""


class Plan(Model):
    """What a host needs to know of a block; files are named by their SHA-256."""

    lock: str
    """the experiment with all that it names, as JSON"""
    hash: str
    """of the lock"""
    slots: tuple[Slot, ...]
    images: dict[str, str]
    """kernel by variant"""
    maps: dict[str, str]
    """its System.map, where there is one"""
    configs: dict[str, str]
    """its configuration, where it is known"""
    initramfs: str
    plugin: str | None = None
    idle: str | None = None
    profile: str | None = None
    force: bool = False
    seconds: float
    """longest that its boots may take"""
    cores: int = 1
    """what the host lends"""
    memory: int = 0

    @property
    def files(self) -> set[str]:
        """All that have to be there."""
        plugins = (self.plugin, self.idle, self.profile)
        kernels = (*self.images.values(), *self.maps.values(), *self.configs.values())
        return {self.lock, self.initramfs, *kernels, *filter(None, plugins)}


@dataclass(frozen=True)
class PackedLock:
    """The lock of an experiment as it is sent; to make it takes longer than all else of a block."""

    hash: str
    data: bytes

    @classmethod
    def of(cls, lock: Lockfile) -> PackedLock:
        return cls(lock.hash, lock.model_dump_json().encode())


def pack(
    session: Session, lock: PackedLock, block: Block, force: bool, seconds: float
) -> tuple[Plan, Files]:
    """What has to be on a host for a block."""
    from harness.kernel import BuiltKernel

    files: Files = {}

    def add(content: Path | bytes) -> str:
        if isinstance(content, bytes):
            sha256 = hashlib.sha256(content).hexdigest()
        else:
            sha256 = _sha256_of(content, content.stat().st_mtime_ns)
        files[sha256] = content
        return sha256

    kernels = {slot.variant: session.kernels[slot.variant] for slot in block.slots}
    built = {name: kernel for name, kernel in kernels.items() if isinstance(kernel, BuiltKernel)}
    plan = Plan(
        lock=add(lock.data),
        hash=lock.hash,
        slots=block.slots,
        images={name: add(kernel.image) for name, kernel in built.items()},
        maps={n: add(k.system_map) for n, k in built.items() if k.system_map},
        configs={n: add(k.config) for n, k in built.items() if k.config},
        initramfs=add(session.initramfs.path),
        plugin=add(session.plugin.path) if session.plugin else None,
        idle=add(session.idle.path) if session.idle else None,
        profile=add(session.profile.path) if session.profile else None,
        force=force,
        seconds=seconds,
    )
    return plan, files


@functools.lru_cache(maxsize=1024)
def _sha256_of(path: Path, modified_ns: int) -> str:
    """The hash of a file, which is not read again for each block as long as it stays the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# What follows runs on the host, in a Dask worker.

Lent = tuple[int, int]
"""Cores and bytes of memory."""

_orders: dict[str, queue.SimpleQueue[Lent | None]] = {}
"""Tasks that wait to begin."""


def boot_block(name: str, text: str) -> bytes:
    """The task: says where it is, has the block booted once it may begin, brings back its runs.

    Raises `RuntimeError` where it may not begin, or has no end in time.
    """
    plan, folder = Plan.model_validate_json(text), blocks() / name
    lacks, trouble = list[str](), ""
    try:
        blocks().mkdir(mode=0o700, parents=True, exist_ok=True)
        while not folder.exists() and not _free(lock()):
            time.sleep(LOOK_S)
        lacks = [sha256 for sha256 in plan.files if not (files() / sha256).is_file()]
    except OSError as error:
        trouble = str(error)
    lent = await_order(name, lacks, trouble)
    if not folder.exists():
        _launch(folder, plan.model_copy(update={"cores": lent[0], "memory": lent[1]}))
    if not supervisor.ended(folder, plan.seconds + LATE_S):
        raise RuntimeError("its supervisor does not end")
    _say_what_is_lost(folder)
    return archive.pack(folder, (supervisor.OUTCOME, supervisor.LOG, "results/runs"))


def await_order(name: str, lacks: Sequence[str], trouble: str) -> Lent:
    """Says where the task is, and what that host lacks; answers what it lends, once it may begin.

    Nobody knows where a task goes until it is there, and the ledger is to have it before it begins.
    """
    from distributed import get_worker

    worker = get_worker()
    orders = _orders[name] = queue.SimpleQueue()
    try:
        here = {"block": name, "address": worker.contact_address}
        worker.log_event(TOPIC, here | {"lacks": lacks, "trouble": trouble})
        lent = orders.get(timeout=ORDER_S)
    except queue.Empty:
        lent = None
    finally:
        _orders.pop(name, None)
    if lent is None:
        raise RuntimeError(trouble or "was not told to begin")
    return lent


def order(name: str, lent: Lent | None) -> bool:
    """Tells the task of a block to begin, with what its host lends, or to end; if it waits."""
    if orders := _orders.get(name):
        orders.put(lent)
    return orders is not None


def put(sha256: str, data: bytes) -> None:
    """Keeps a file under its hash; raises `ValueError` where it is another one."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError("a file changed on its way")
    files().mkdir(mode=0o700, parents=True, exist_ok=True)
    part = files() / f"{sha256}.{os.getpid()}"
    try:
        with open(part, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(files() / sha256)
    finally:
        part.unlink(missing_ok=True)


def forget(name: str) -> None:
    """Removes all that a block left."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,200}", name):
        shutil.rmtree(blocks() / name, ignore_errors=True)


def tidy(owner: str, alive: Sequence[str]) -> None:
    """Removes what blocks of an owner left that nobody will ask for again, and that are over."""
    for folder in blocks().glob(f"{glob.escape(owner)}-*"):
        if folder.name not in alive and supervisor.ended(folder, 0):
            forget(folder.name)


def home() -> Path:
    """All that is of the harness on a host."""
    return Path.home() / ".cache/pageinit/hosts"


def files() -> Path:
    return home() / "files"


def blocks() -> Path:
    """Those of this machine: others may have the same home folder."""
    return home() / platform.node() / "blocks"


def lock() -> Path:
    """Held by the supervisor of the block that has this machine."""
    return blocks().with_name("block.lock")


def _free(path: Path) -> bool:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _launch(folder: Path, plan: Plan) -> None:
    """Has a supervisor begin the block; it has left us when this returns."""
    folder.mkdir(mode=0o700)
    (folder / PLAN).write_text(plan.model_dump_json())
    words = [str(folder), str(lock()), f"{plan.seconds:.3f}"]
    with (folder / supervisor.LOG).open("wb") as log:
        subprocess.run(
            [sys.executable, "-s", "-m", "harness.hosts.supervisor", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )


def _say_what_is_lost(folder: Path) -> None:
    """A supervisor that was killed has left no outcome."""
    outcome = folder / supervisor.OUTCOME
    if not outcome.is_file():
        outcome.write_text(json.dumps({"cause": "lost", "status": 0}))


def boot(folder: Path) -> None:
    """Boots what the plan in `folder` says; what is there already is not booted again."""
    from harness.results import Results
    from harness.run import Local, loop

    plan = Plan.model_validate_json((folder / PLAN).read_bytes())
    results = Results(folder / "results")
    options = loop.RunOptions(folder, force=plan.force)
    with results.locked():
        executor = Local(plan.cores, plan.memory)
        loop.execute(_session(plan, folder), results, options, plan.slots, executor=executor)


def _session(plan: Plan, folder: Path) -> Session:
    """The experiment of the lock, with files of the host."""
    from harness import host
    from harness.guest import Initramfs
    from harness.kernel import BuiltKernel
    from harness.model import Lockfile, first_arm
    from harness.project import Project
    from harness.qemu import Plugin
    from harness.run import Session

    lock = Lockfile.model_validate_json((files() / plan.lock).read_bytes())
    lock = lock.model_copy(update={"on_file": plan.hash})
    kernels: dict[str, BuiltKernel | str] = {}
    for name in dict.fromkeys(slot.variant for slot in plan.slots):
        kernel = lock.kernels[name] if name in lock.kernels else lock.kernels[first_arm(name)]
        if isinstance(kernel, str):
            kernels[name] = kernel
            continue
        more = (files() / of[name] if name in of else None for of in (plan.maps, plan.configs))
        kernels[name] = BuiltKernel(kernel, files() / plan.images[name], *more)
    arch = next(iter(lock.machines.values())).architecture

    def brought(name: str | None, sha256: str | None) -> Plugin | None:
        return Plugin(files() / name, sha256 or "") if name else None

    return Session(
        project=Project(folder, blocks().parent),
        experiment=lock.experiment,
        variants=lock.variants,
        machines=lock.machines,
        kernels=kernels,
        initramfs=Initramfs(files() / plan.initramfs, lock.initramfs_sha256),
        environment=host.environment(lock.environment.accel, arch),
        lock=lock,
        plugin=brought(plan.plugin, lock.plugin_sha256),
        idle=brought(plan.idle, lock.idle_sha256),
        profile=brought(plan.profile, lock.profile_sha256),
    )


if __name__ == "__main__":
    gc.freeze()  # what is there now stays to the end, when to visit it all would take 20 ms
    boot(Path(sys.argv[1]))
