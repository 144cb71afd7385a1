# SPDX-License-Identifier: GPL-2.0-only
"""What a bzImage unpacks, and what is none."""

import bz2
import gzip
import lzma
import sys
from pathlib import Path

import pytest

from harness.errors import SourceError
from harness.kernel.debian import arch_of_image, read_image
from harness.kernel.image import arch_of, check, vmlinux
from tests.support.images import bzimage

ELF = b"\x7fELF and more" * 1000


def zstd(data: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd as library
    else:
        from backports import zstd as library
    return library.compress(data)


def lz4(data: bytes) -> bytes:
    """As `lz4 -l`: blocks of at most 8 MiB behind their lengths."""
    block = pytest.importorskip("lz4.block")
    packed = b"\x02\x21\x4c\x18"
    for at in range(0, len(data), 8 << 20):
        part = block.compress(data[at : at + (8 << 20)], store_size=False)
        packed += len(part).to_bytes(4, "little") + part
    return packed


def sized(data: bytes, pack) -> bytes:
    """What scripts/Makefile.lib makes of it: how large it was stands behind it."""
    return pack(data) + len(data).to_bytes(4, "little")


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        *(lambda data, pack=pack: sized(data, pack) for pack in (bz2.compress, lzma.compress)),
        lambda data: sized(data, zstd),
        lambda data: sized(data, lz4),
        lambda data: sized(data, lambda d: lzma.compress(d, format=lzma.FORMAT_ALONE)),
    ],
    ids=["gzip", "bzip2", "xz", "zstd", "lz4", "lzma"],
)
def test_the_kernel_comes_out_of_its_image(pack) -> None:
    assert vmlinux(bzimage(pack(ELF)), "x") == ELF


def test_blocks_of_lz4_follow_each_other() -> None:
    large = b"\x7fELF" + bytes(9 << 20)
    assert vmlinux(bzimage(sized(large, lz4)), "x") == large


def test_an_image_says_of_which_architecture_it_is(tmp_path: Path) -> None:
    arm = bytes(0x38) + b"ARM\x64" + bytes(100) + b"Linux version 6.1.0-57-cloud-arm64 (gcc)"
    assert [arch_of(data, "x") for data in (arm, bzimage(b"x"))] == ["arm64", "x86_64"]
    (tmp_path / "Image").write_bytes(arm)
    found = read_image(tmp_path / "Image")
    assert arch_of_image(tmp_path / "Image") == "arm64"
    assert found.release == "6.1.0-57-cloud-arm64"
    with pytest.raises(SourceError, match="an Image of riscv"):
        arch_of(bytes(0x30) + b"RISCV\0\0\0", "x")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (bytes(1024), "not a bzImage"),
        (b"MZ", "not a bzImage"),
        (bzimage(b"garbage"), "compressed in a way unknown here: 67617262"),
        (bzimage(gzip.compress(b"MZ no ELF")), "holds no ELF file"),
        (bzimage(b"\x1f\x8b\x08\x00garbage garbage"), "damaged"),
        (bzimage(b"\x28\xb5\x2f\xfd garbage"), "damaged"),
        (bzimage(b"\x02\x21\x4c\x18\xff\0\0\0garbage\x10\0\0\0"), "damaged"),
        (bzimage(b"\x02\x21\x4c\x18\xff\0\0\0garbage\xff\xff\xff\xff"), "damaged: unpacks to"),
    ],
)
def test_an_image_that_cannot_be_read_says_why(image: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        vmlinux(image, "here")


def placed(at: int, magic: bytes, more: bytes = b"") -> bytes:
    data = bytearray(more.ljust(1024, b"\0"))
    data[at : at + len(magic)] = magic
    return bytes(data)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (placed(0x38, b"ARM\x64", b"MZ"), "an Image of arm64"),
        (placed(0x30, b"RISCV\0\0\0"), "an Image of riscv"),
        (placed(4, b"zimg", b"MZ"), "EFI zboot"),
        (placed(18, b"\xb7\0", b"\x7fELF\x02\x01"), "an ELF file of arm64, not a bzImage"),
        (placed(18, b"\0\x16", b"\x7fELF\x02\x02"), "an ELF file of s390, not a bzImage"),
        (placed(18, b"\x3e\0", b"\x7fELF\x02\x01"), "an ELF file of x86-64, not a bzImage"),
        (bzimage(b"")[:0x236] + b"\0" + bzimage(b"")[0x237:], "a kernel of 32-bit x86"),
    ],
)
def test_a_kernel_of_another_architecture_is_called_what_it_is(image: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said) as error:
        check(image, "here")
    assert error.value.remedy and "amd64" in error.value.remedy
