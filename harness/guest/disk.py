# SPDX-License-Identifier: GPL-2.0-only
"""The image of a disk that a guest is given: its format, its hash, and what it may not refer to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from harness.errors import UserError
from harness.files import write_atomic
from harness.model import Format, Image, State

_MAGIC = b"QFI\xfb"
_BACKING = slice(8, 16)
_VERSION = slice(4, 8)
_INCOMPATIBLE = slice(72, 80)
_EXTERNAL_DATA = 1 << 2
"""Fields of the header, as the QEMU project describes them in docs/interop/qcow2.txt."""


def read(path: Path, cache: Path) -> Image:
    """Describes an image; its hash is computed once and kept in the cache.

    Raises `UserError` for a file that cannot be read, and for one that names other files: QEMU
    would open them, and the guest could read what was never meant for it.
    """
    try:
        state = _state(path)
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise UserError(
            f"guest.image: {error.strerror}",
            where=str(path),
            remedy="`sudo tools/guest-image FILE` makes one of Debian; docs/guests.md",
        ) from None
    if foreign := _refers(head):
        raise UserError(
            f"guest.image: it names {foreign} beside itself, which QEMU would open",
            where=str(path),
            remedy="make it whole with `qemu-img convert -O qcow2 IMAGE NEW`",
        )
    kind: Format = "qcow2" if head.startswith(_MAGIC) else "raw"
    return Image(path, kind, _sha256(path, state, cache), state)


def changed(image: Image) -> bool:
    """Whether somebody has written to it since its hash was taken, or replaced it."""
    try:
        return _state(image.path) != image.state
    except OSError:
        return True


def _refers(head: bytes) -> str | None:
    """What a qcow2 would have QEMU open beside it."""
    if not head.startswith(_MAGIC):
        return None
    if any(head[_BACKING]):
        return "a backing file"
    newer = int.from_bytes(head[_VERSION], "big") >= 3
    if newer and int.from_bytes(head[_INCOMPATIBLE], "big") & _EXTERNAL_DATA:
        return "a data file"
    return None


def _state(path: Path) -> State:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _sha256(path: Path, state: State, cache: Path) -> str:
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    memory = cache / "images" / f"{name}.json"
    try:
        known = json.loads(memory.read_bytes())
        if tuple(known["state"]) == state:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    write_atomic(memory, json.dumps({"path": str(path), "state": state, "sha256": digest}) + "\n")
    return digest
