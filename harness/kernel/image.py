# SPDX-License-Identifier: GPL-2.0-only
"""Images of kernels: of which architecture one is, and the ELF file that a bzImage unpacks at boot.

Documentation/arch/x86/boot.rst and Documentation/arch/arm64/booting.rst describe them.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import sys
import zlib
from collections.abc import Callable

from harness.errors import HostError, SourceError
from harness.model import ArchName

_ELF = b"\x7fELF"
MAX_UNPACKED = 1 << 30
"""Bytes: a kernel with all of its debug information has less."""
_LZ4_BLOCK = 8 << 20
"""What a block of the legacy format of LZ4 unpacks to at most."""

HEAD = 1024
"""Bytes of an image that say what it is."""

_MACHINES = {3: "x86, 32 bits", 20: "powerpc", 21: "powerpc64", 22: "s390", 40: "arm"}
_MACHINES |= {62: "x86-64", 183: "arm64", 243: "riscv", 258: "loongarch"}
"""``e_machine`` of ELF files of kernels."""
_IMAGE = "an Image of arm64"
_IMAGES = (
    (0x38, b"ARM\x64", _IMAGE),
    (0x30, b"RISCV\0\0\0", "an Image of riscv"),
    (0x04, b"zimg", "an EFI zboot image, of another architecture than x86"),
)
"""Kernels of others: where their magic is, and what they are."""
_NONE = "not a bzImage"


def other(data: bytes) -> str | None:
    """What a file is, where it is no bzImage of x86-64; none where it is one."""
    if data[0x202:0x206] == b"HdrS":
        # xloadflags, since protocol 2.12: bit 0 says that there is a 64-bit entry point.
        known = len(data) > 0x238 and int.from_bytes(data[0x206:0x208], "little") >= 0x20C
        return "a kernel of 32-bit x86" if known and not data[0x236] & 1 else None
    if data.startswith(_ELF) and len(data) > 20:
        number = int.from_bytes(data[18:20], "little" if data[5] == 1 else "big")
        return f"an ELF file of {_MACHINES.get(number, f'machine {number}')}, not a bzImage"
    found = (what for at, magic, what in _IMAGES if data[at : at + len(magic)] == magic)
    return next(found, _NONE)


def arch_of(data: bytes, where: str) -> ArchName:
    """The architecture of a bzImage or an Image; raises `SourceError` for what is neither."""
    if other(data) == _IMAGE:
        return "arm64"
    check(data, where)
    return "x86_64"


def check(data: bytes, where: str) -> None:
    """Raises `SourceError` for what is no bzImage of x86-64, with what it is instead."""
    if what := other(data):
        other_kind = "name an arch/x86/boot/bzImage, or the vmlinuz-* of an amd64 package"
        raise SourceError(what, where=where, remedy=None if what == _NONE else other_kind)


def vmlinux(image: bytes, where: str) -> bytes:
    """The ELF file, without symbols, that a bzImage unpacks at boot; raises `SourceError`.

    Raises `HostError` where what it is packed with needs a library that is not installed.
    """
    check(image, where)
    if len(image) < 0x250:
        raise SourceError(_NONE, where=where)
    # setup_sects, payload_offset, payload_length.
    start = ((image[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[start + offset : start + offset + length]
    unpack = next((call for magic, call in _UNPACK.items() if payload.startswith(magic)), None)
    if unpack is None:
        raise SourceError(f"compressed in a way unknown here: {payload[:4].hex()}", where=where)
    try:
        data = unpack(payload)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError) as error:
        raise SourceError(f"damaged: {error}", where=where) from None
    if not data.startswith(_ELF):
        raise SourceError("holds no ELF file", where=where)
    return data


def _zstd(payload: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    try:
        data: bytes = zstd.ZstdDecompressor().decompress(payload, max_length=MAX_UNPACKED)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from None
    return data


def _lz4(payload: bytes) -> bytes:
    """Blocks behind their lengths, without an end: how much it is stands behind the last."""
    try:
        from lz4 import block
    except ImportError:
        raise HostError(
            "a kernel packed with LZ4 needs the library lz4",
            remedy="pip install pageinit[kallsyms]",
        ) from None
    size = int.from_bytes(payload[-4:], "little")
    if size > MAX_UNPACKED:
        raise ValueError(f"unpacks to {size} bytes")
    found, at = bytearray(), 4
    while len(found) < size and at + 4 < len(payload):
        length = int.from_bytes(payload[at : at + 4], "little")
        packed = payload[at + 4 : at + 4 + length]
        try:
            found += block.decompress(packed, uncompressed_size=_LZ4_BLOCK)
        except block.LZ4BlockError as error:
            raise ValueError(str(error)) from None
        at += 4 + length
    return bytes(found)


def _bounded(new: Callable[[], lzma.LZMADecompressor | bz2.BZ2Decompressor], data: bytes) -> bytes:
    return new().decompress(data, MAX_UNPACKED)


_UNPACK: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda data: zlib.decompressobj(31).decompress(data, MAX_UNPACKED),
    b"BZh": lambda data: _bounded(bz2.BZ2Decompressor, data),
    b"\xfd7zXZ": lambda data: _bounded(lzma.LZMADecompressor, data),
    b"\x5d\x00\x00": lambda data: _bounded(lzma.LZMADecompressor, data),
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\x02\x21\x4c\x18": _lz4,
}
"""What the kernel compresses itself with, by its first bytes."""
