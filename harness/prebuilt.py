# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that somebody else built: a Debian package, or a bzImage on disk."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness import cache as store
from harness import debian
from harness.errors import HostError, SourceError
from harness.record import Kernel

_FACTS_FILE = "prebuilt.json"
_HEADER_MAGIC = slice(0x202, 0x206)
_HEADER_VERSION = slice(0x20E, 0x210)


@dataclass(frozen=True)
class PrebuiltKernel:
    """A bzImage and what it says of itself; `release` is its ``uname -r``."""

    kernel: Kernel
    image: Path
    release: str
    config: Path | None = None


def read_image(image: Path, version: str | None = None) -> PrebuiltKernel:
    """Describes a bzImage on disk; raises `SourceError` when the file is none."""
    try:
        data = image.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read: {error.strerror}", where=str(image)) from None
    # Documentation/arch/x86/boot.rst: kernel_version points, less 0x200, to a string.
    if data[_HEADER_MAGIC] != b"HdrS":
        raise SourceError("not a bzImage", where=str(image))
    start = int.from_bytes(data[_HEADER_VERSION], "little") + 0x200
    banner = data[start : start + 256].split(b"\0")[0].decode("ascii", "replace")
    release = banner.split(" ")[0]
    sha256 = debian.sha256_of(image)
    kernel = Kernel(kernel_id=sha256[:16], base_version=version or release, image_sha256=sha256)
    config = image.with_name("config")
    return PrebuiltKernel(kernel, image, release, config if config.is_file() else None)


def fetch_prebuilt(package: str, cache: Path) -> PrebuiltKernel:
    """Gets the kernel of a ``linux-image-*`` package; a meta package leads to the real one.

    Without the network the newest one in the cache is answered. Raises `HostError` when there is
    none, `SourceError` when the package is altered, cut short or holds no kernel.
    """
    folder = cache / "prebuilt"
    with store.locked(folder / ".lock"):
        store.sweep(folder)
        try:
            return _fetch(package, folder)
        except HostError:
            known = {k.kernel.base_version: k for k in _cached(package, folder)}
            if not known:
                raise
            return known[debian.newest(known)]


def _fetch(package: str, folder: Path) -> PrebuiltKernel:
    real = debian.lookup(package)
    # linux-image-6.12-cloud-amd64 is a meta package too: a name does not tell, a dependency does.
    if re.search(r"(^|[,|])\s*linux-image-\d", real.depends):
        real = debian.lookup(*debian.dependency(real, r"linux-image-\d.*"))
    final = folder / f"{real.name}_{real.version}"
    if known := _load(final):
        return known
    with store.filling(final) as part:
        deb = debian.download(real, part)
        with debian.contents(deb) as archive:
            for member in archive:
                match = re.fullmatch(r"\./boot/(vmlinuz|config|System\.map)-.*", member.name)
                file = archive.extractfile(member) if match else None
                if match and file:
                    with (part / match[1]).open("wb") as out:
                        shutil.copyfileobj(file, out)
        deb.unlink()
        if not (part / "vmlinuz").is_file():
            raise SourceError("holds no /boot/vmlinuz", where=f"{real.name} {real.version}")
        facts = {"asked": package, "version": real.version, "deb_sha256": real.sha256}
        facts["image_sha256"] = debian.sha256_of(part / "vmlinuz")
        (part / _FACTS_FILE).write_text(json.dumps(facts, indent=1) + "\n")
    return read_image(final / "vmlinuz", real.version)


def _cached(package: str, folder: Path) -> list[PrebuiltKernel]:
    kernels = []
    for path in folder.glob(f"*/{_FACTS_FILE}"):
        kernel = _load(path.parent)
        if kernel and json.loads(path.read_bytes()).get("asked") == package:
            kernels.append(kernel)
    return kernels


def _load(folder: Path) -> PrebuiltKernel | None:
    try:
        facts = json.loads((folder / _FACTS_FILE).read_bytes())
        known = read_image(folder / "vmlinuz", facts["version"])
        return known if known.kernel.image_sha256 == facts["image_sha256"] else None
    except (OSError, ValueError, KeyError, SourceError):
        return None
