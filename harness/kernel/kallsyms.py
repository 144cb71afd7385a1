# SPDX-License-Identifier: GPL-2.0-only
"""Symbols of a kernel that somebody else built, from the kallsyms within its image.

A package brings no System.map that says anything, but the kernel itself has one packed, to name
functions in its traces. vmlinux-to-elf finds it. It is a program of its own: what is read is
foreign, and its licence (GPL-3.0-or-later) is not ours.
"""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

from harness import files, process
from harness.errors import HostError, SourceError
from harness.kernel.image import arch_of, vmlinux
from harness.kernel.symbols import SystemMap

PATIENCE_S = 180.0
"""For a search through 60 MiB, which takes some seconds."""
FEW = 1000
"""Functions. The smallest kernel that boots has more, a stub of a System.map has none."""
KERNEL = 0xFFFF_8000_0000_0000
"""The kernel's half of the addresses."""
_PROGRAM = "vmlinux_to_elf.scripts.kallsyms_finder"
_LINE = re.compile(r"^(f{4}[0-9a-f]{12}) ([a-zA-Z]) ([\w.$@]{1,500})$", re.A | re.M)


def system_map(image: Path, cache: Path) -> Path:
    """The System.map of an image, made from its kallsyms and kept by the hash of the image.

    Raises `SourceError` for what is no image of a kernel, or has no kallsyms; `HostError` where
    vmlinux-to-elf is not installed.
    """
    folder = cache / "kallsyms"
    with files.locked(folder / ".lock"):
        name = folder / files.sha256_of(image)[:16] / "System.map"
        return files.kept(name, lambda out: out.write_text(_extract(image), encoding="ascii"))


def usable(path: Path) -> bool:
    """Whether a System.map names the functions of a kernel."""
    known = SystemMap.read(path.read_text(encoding="ascii", errors="replace"))
    return sum(symbol.is_code and symbol.address >= KERNEL for symbol in known.symbols) >= FEW


def _extract(image: Path) -> str:
    data = image.read_bytes()
    # An Image of arm64 is what it unpacks to.
    kernel = data if arch_of(data, str(image)) == "arm64" else vmlinux(data, str(image))
    if find_spec(_PROGRAM.partition(".")[0]) is None:
        raise HostError(
            "the symbols within a kernel are found by vmlinux-to-elf, which is not installed",
            where=str(image),
            remedy="pip install pageinit[kallsyms], or give its System.map with --system-map",
        )
    with files.scratch() as folder:
        (folder / "vmlinux").write_bytes(kernel)
        argv: list[str | Path] = [sys.executable, "-I", "-m", _PROGRAM, folder / "vmlinux"]
        done = process.run(argv, check=False, timeout_s=PATIENCE_S)
    found = _LINE.findall(done.stdout.decode("ascii", "replace"))
    text = "".join(f"{address} {kind} {name}\n" for address, kind, name in found)
    code = sum(kind in "tTwW" for _, kind, _ in found)
    if done.returncode or code < FEW:
        raise SourceError(
            "no kallsyms in it, so that its functions have no names",
            where=str(image),
            remedy="build it with CONFIG_KALLSYMS=y, or give its System.map with --system-map",
        )
    return text
