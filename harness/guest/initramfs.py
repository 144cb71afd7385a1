# SPDX-License-Identifier: GPL-2.0-only
"""The guest's own user space: probes as one static program, and the archives they travel in."""

from __future__ import annotations

import hashlib
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness import files, process
from harness.errors import HostError
from harness.model import X86_64, Arch

SOURCES = Path(__file__).parent / "src"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread")
PROBES = (
    *("meminfo.c", "zoneinfo.c", "touch.c", "json.c"),
    *("check.c", "settle.c", "census.c", "freelist.c", "block.c", "huge.c", "migrate.c"),
    *("compact.c", "fill.c", "oom.c", "walk.c"),
)
"""The probes, and what they share; the second and third line are the correctness gate's."""

DONE = b'{"probe":"done"}\n'
"""What ends the results of a boot: the init says it, or who was sent into another guest."""


@dataclass(frozen=True)
class Initramfs:
    """An archive or a program in the cache, and the SHA-256 of its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class CpioEntry:
    """A file of a cpio archive: `mode` with the file type, `device` for device nodes."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def build(cache: Path, arch: Arch = X86_64) -> Initramfs:
    """Answers the initramfs; compiles it when the sources or the compiler are new.

    Raises `HostError` where there is no compiler, or it has no static libc.
    """

    def make(path: Path) -> None:
        path.write_bytes(cpio(_entries("init.c", arch=arch)))

    return _made(cache, "initramfs.cpio", make, arch)


def entry(cache: Path) -> Initramfs:
    """As `build`, the initramfs that hands over to a distribution on a disk."""
    return _made(cache, "entry.cpio", lambda path: path.write_bytes(cpio(_entries("enter.c"))))


def shell(cache: Path) -> Initramfs:
    """As `build`, with a shell on the console when the probes are done: the host's busybox.

    Raises `HostError` where there is none that needs no other file.
    """
    busybox = Path(shutil.which("busybox") or "")
    if not busybox.is_file():
        raise process.missing("busybox")
    data = busybox.read_bytes()
    if b"INTERP" in process.run(["objdump", "-p", busybox]).stdout:
        raise HostError(
            "needs shared libraries, which the guest has not",
            where=str(busybox),
            remedy="apt-get install busybox-static",
        )
    more = [
        CpioEntry("bin", stat.S_IFDIR | 0o755),
        CpioEntry("bin/busybox", stat.S_IFREG | 0o755, data),
    ]

    def make(path: Path) -> None:
        path.write_bytes(cpio((*_entries("init.c", "-DSHELL", "shell.c"), *more)))

    return _made(cache, f"shell-{hashlib.sha256(data).hexdigest()[:16]}.cpio", make)


def program(cache: Path) -> Initramfs:
    """As `build`, the probes as a program to be run by hand, or over SSH."""
    return _made(cache, "probe", lambda path: compile_program("probe.c", path))


def keys(public: bytes, host_key: bytes) -> bytes:
    """What `entry` finds beside itself: who may come in, and a host key where there is none."""
    private = stat.S_IFREG | 0o600
    return cpio([CpioEntry("key", private, public), CpioEntry("host_key", private, host_key)])


def _made(cache: Path, name: str, make: Callable[[Path], object], arch: Arch = X86_64) -> Initramfs:
    with files.locked(cache / "initramfs" / ".lock"):
        path = files.kept(cache / "initramfs" / f"{_inputs(arch)}-{name}" / name, make)
    return Initramfs(path, files.sha256_of(path))


def _inputs(arch: Arch) -> str:
    """16 hex digits over all that the bytes depend on, but for what a file's own name says."""
    env = process.environment()
    tools = [arch.prefix + name for name in ("gcc", "ld")]
    versions = [process.run([name, "--version"], env=env).stdout for name in tools]
    libc = process.run([tools[0], "-print-file-name=libc.a"], env=env).stdout.decode().strip()
    # A static program has the C library inside, and this module says how an archive is made.
    more = (Path(libc), Path(__file__)) if Path(libc).is_file() else (Path(__file__),)
    digest = hashlib.sha256(b"\0".join(versions))
    for source in (*more, *sorted(SOURCES.iterdir())):
        if source in more or source.suffix in (".c", ".h"):
            digest.update(f"\0{source.name}\0{files.sha256_of(source)}".encode())
    return digest.hexdigest()[:16]


def compile_program(main: str, out: Path, *more: str, arch: Arch = X86_64) -> None:
    """Compiles ``guest/main`` with all probes to a static program."""
    argv: list[str | Path] = [f"{arch.prefix}gcc", *FLAGS, "-o", out, main, *PROBES, *more]
    process.run(argv, cwd=SOURCES, env=process.environment())


def _entries(main: str, *more: str, arch: Arch = X86_64) -> list[CpioEntry]:
    with files.scratch() as folder:
        program = folder / "init"
        compile_program(main, program, *more, arch=arch)
        # The kernel opens /dev/console for init before anything is mounted.
        return [
            CpioEntry("dev", stat.S_IFDIR | 0o755),
            CpioEntry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
            CpioEntry("init", stat.S_IFREG | 0o755, program.read_bytes()),
        ]


def cpio(entries: Iterable[CpioEntry]) -> bytes:
    """A "newc" archive (Documentation/driver-api/early-userspace/buffer-format.rst).

    Owner root, time 0, inodes in order: the same entries give the same bytes.
    """
    archive = bytearray()
    for inode, entry in enumerate((*entries, CpioEntry("TRAILER!!!", 0)), 1):
        name = entry.name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device)
        header = "070701" + "".join(f"{value:08X}" for value in (*fields, len(name), 0))
        archive += header.encode() + name
        archive += b"\0" * (-len(archive) % 4)
        archive += entry.data
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)
