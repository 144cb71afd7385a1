# SPDX-License-Identifier: GPL-2.0-only
"""The machine code of a built kernel: vmlinux out of a bzImage, functions by its System.map."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import re
import struct
import tempfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import tool
from harness.errors import SourceError

Stream = tuple[str, ...]
"""The mnemonics of a function, in order."""

_ELF = b"\x7fELF"
_UNPACK: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda data: zlib.decompressobj(31).decompress(data),
    b"BZh": lambda data: bz2.BZ2Decompressor().decompress(data),
    b"\xfd7zXZ": lambda data: lzma.LZMADecompressor().decompress(data),
    b"\x5d\x00\x00": lambda data: lzma.LZMADecompressor().decompress(data),
}
"""What the kernel compresses itself with, as far as Python knows it, by its first bytes."""

_LINE = re.compile(r"^\s*([0-9a-f]+):\t(.*)$")
_PREFIXES = {
    "lock",
    "rep",
    "repz",
    "repnz",
    "data16",
    "notrack",
    "cs",
    "ds",
    "es",
    "fs",
    "gs",
    "ss",
}
_PADDING = re.compile(r"(?:(?:data16|cs) )*(?:nop[wl]?|int3)|xchg\s+%ax,%ax")
_SUFFIX = re.compile(r"\.(?:cold|(?:isra|part|constprop)\.\d+)")
_SYMBOL = re.compile(r"^([0-9a-f]{1,16}) (\S) (\S+)$", re.M)


def vmlinux(image: bytes, where: str) -> bytes:
    """The ELF file, without symbols, that a bzImage unpacks at boot; raises `SourceError`."""
    # Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length.
    if image[0x202:0x206] != b"HdrS" or len(image) < 0x250:
        raise SourceError("not a bzImage", where=where)
    start = ((image[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[start + offset : start + offset + length]
    unpack = next((call for magic, call in _UNPACK.items() if payload.startswith(magic)), None)
    if unpack is None:
        raise SourceError(f"compressed in a way unknown here: {payload[:4].hex()}", where=where)
    try:
        data = unpack(payload)
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise SourceError(f"damaged: {error}", where=where) from None
    if not data.startswith(_ELF):
        raise SourceError("holds no ELF file", where=where)
    return data


@dataclass(frozen=True)
class Function:
    """A part of a function, as the compiler left it: ``NAME``, ``NAME.cold``, ``NAME.isra.0``…"""

    name: str
    start: int
    end: int

    @property
    def base(self) -> str:
        """The name in the source."""
        return _SUFFIX.sub("", self.name)


def functions(system_map: str) -> list[Function]:
    """The functions of a kernel that stay in memory, by address, from its System.map."""
    symbols = [
        (int(address, 16), kind, name) for address, kind, name in _SYMBOL.findall(system_map)
    ]
    text = {name: address for address, _, name in symbols if name in ("_text", "_etext")}
    if len(text) < 2:
        return []
    places = sorted({address for address, _, _ in symbols})
    found = []
    for address, kind, name in symbols:
        if kind in "tTwW" and text["_text"] <= address < text["_etext"]:
            # There is always a next one: _etext, at the latest.
            found.append(Function(name, address, places[bisect_right(places, address)]))
    return sorted(found, key=lambda function: (function.start, function.name))


@dataclass(frozen=True)
class Code:
    """The code of a kernel: an ELF file on disk, and where its functions lie."""

    elf: Path
    functions: tuple[Function, ...]

    @property
    def names(self) -> frozenset[str]:
        """The functions that there are, by the names in the source."""
        return frozenset(function.base for function in self.functions)

    def parts(self, name: str) -> list[Function]:
        """What the compiler made of a function; empty where all of it went into others."""
        return sorted((f for f in self.functions if f.base == name), key=lambda f: f.name)

    def stream(self, name: str) -> Stream:
        """The instructions of a function and its parts, without what pads them."""
        return tuple(word for part in self.parts(name) for word in self._disassemble(part))

    def _disassemble(self, part: Function) -> Stream:
        bounds = (f"--start-address={part.start:#x}", f"--stop-address={part.end:#x}")
        argv: list[str | Path] = ["objdump", "-d", "--no-show-raw-insn", *bounds, self.elf]
        return mnemonics(tool.run(argv).stdout.decode("utf-8", "replace"))


@contextlib.contextmanager
def code(image: Path, system_map: Path) -> Iterator[Code]:
    """Unpacks a kernel for as long as it is looked at."""
    with tempfile.TemporaryDirectory(prefix="pageinit-") as folder:
        elf = Path(folder) / "vmlinux"
        elf.write_bytes(vmlinux(image.read_bytes(), str(image)))
        yield Code(elf, tuple(functions(system_map.read_text(encoding="utf-8"))))


def mnemonics(listing: str) -> Stream:
    """The mnemonics in what ``objdump -d`` printed, prefixes included, operands not."""
    lines = [match[2].strip() for match in map(_LINE.match, listing.splitlines()) if match]
    while lines and _PADDING.match(lines[-1]):
        lines.pop()
    return tuple(_mnemonic(line) for line in lines if line)


def _mnemonic(line: str) -> str:
    words = line.split()
    count = 1
    while count < len(words) and words[count - 1] in _PREFIXES:
        count += 1
    return " ".join(words[:count])
