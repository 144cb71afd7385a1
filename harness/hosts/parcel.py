# SPDX-License-Identifier: GPL-2.0-only
"""A block on its way to a host: what to boot, by names and hashes, and the files behind those."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness import host
from harness.guest import Initramfs
from harness.hosts import porter
from harness.kernel import BuiltKernel
from harness.model import Block, Lockfile, Model, Slot, definition
from harness.project import Project
from harness.qemu import Plugin
from harness.run import Session

FILE = porter.PARCEL

Files = dict[str, Path]
"""Files by their SHA-256."""


class Parcel(Model):
    """What a worker needs to know; the files that it names lie beside each other, by hash."""

    lock: Lockfile
    hash: str
    """of the lock"""
    slots: tuple[Slot, ...]
    images: dict[str, str]
    """kernel by variant"""
    maps: dict[str, str]
    """its System.map, where there is one"""
    initramfs: str
    plugin: str | None = None
    force: bool = False
    cores: int
    """what the host lends"""
    memory: int


class Lender(Protocol):
    """What a host lends, and the interpreter there if one is named."""

    @property
    def memory(self) -> int: ...
    @property
    def cores(self) -> int: ...
    @property
    def python(self) -> str | None: ...


@dataclass(frozen=True)
class Lent:
    """What a host lends that no inventory names."""

    memory: int
    cores: int
    python: str | None = None


@dataclass(frozen=True)
class Packed:
    """A parcel and the files it names."""

    parcel: Parcel
    files: Files


def pack(session: Session, block: Block, lender: Lender, force: bool) -> Packed:
    """What has to be on a host for a block."""
    files: Files = {}

    def add(path: Path) -> str:
        sha256 = _sha256_of(path, path.stat().st_mtime_ns)
        files[sha256] = path
        return sha256

    variants = dict.fromkeys(slot.variant for slot in block.slots)
    built = {name: k for name in variants if not isinstance(k := session.kernels[name], str)}
    parcel = Parcel(
        lock=session.lock,
        hash=session.lock.hash,
        slots=block.slots,
        images={name: add(kernel.image) for name, kernel in built.items()},
        maps={n: add(k.system_map) for n, k in built.items() if k.system_map},
        initramfs=add(session.initramfs.path),
        plugin=add(session.plugin.path) if session.plugin else None,
        force=force,
        cores=lender.cores,
        memory=lender.memory,
    )
    return Packed(parcel, files)


@functools.lru_cache(maxsize=1024)
def _sha256_of(path: Path, modified_ns: int) -> str:
    """The hash of a file, which is not read again for each block as long as it stays the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(parcel: Parcel, folder: Path, at: Callable[[str], Path]) -> Session:
    """The session of a worker: the experiment of the lock, with the files of `at` a hash."""
    lock = parcel.lock.model_copy(update={"on_file": parcel.hash})
    kernels: dict[str, BuiltKernel | str] = {}
    for name in dict.fromkeys(slot.variant for slot in parcel.slots):
        kernel = lock.kernels[name] if name in lock.kernels else lock.kernels[definition(name)]
        if isinstance(kernel, str):
            kernels[name] = kernel
            continue
        system_map = at(parcel.maps[name]) if name in parcel.maps else None
        kernels[name] = BuiltKernel(kernel, at(parcel.images[name]), system_map)
    plugin = parcel.plugin and Plugin(at(parcel.plugin), lock.plugin_sha256 or "")
    return Session(
        project=Project(folder, folder.parents[1] / f"host-{platform.node()}"),
        experiment=lock.experiment,
        variants=lock.variants,
        machines=lock.machines,
        kernels=kernels,
        initramfs=Initramfs(at(parcel.initramfs), lock.initramfs_sha256),
        environment=host.environment(lock.environment.accel),
        lock=lock,
        plugin=plugin or None,
    )
