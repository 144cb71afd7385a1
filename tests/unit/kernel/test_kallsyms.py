# SPDX-License-Identifier: GPL-2.0-only
"""Symbols from within an image; that of a real kernel is read where kernels are booted."""

import gzip
from pathlib import Path

import pytest

from harness.errors import HostError, SourceError
from harness.kernel import kallsyms
from tests.support.images import bzimage


def image(folder: Path) -> Path:
    path = folder / "bzImage"
    path.write_bytes(bzimage(gzip.compress(b"\x7fELF" + bytes(5000))))
    return path


def test_a_kernel_without_kallsyms_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("vmlinux_to_elf")
    with pytest.raises(SourceError, match="no kallsyms in it") as error:
        kallsyms.system_map(image(tmp_path), tmp_path / "cache")
    assert "CONFIG_KALLSYMS=y" in (error.value.remedy or "")
    assert not list((tmp_path / "cache/kallsyms").glob("*/*"))


def test_where_the_program_is_missing_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kallsyms, "_PROGRAM", "no_such_package.program")
    with pytest.raises(HostError, match="not installed") as error:
        kallsyms.system_map(image(tmp_path), tmp_path / "cache")
    assert "pip install pageinit[kallsyms]" in (error.value.remedy or "")


def test_a_stub_of_a_system_map_is_of_no_use(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("ffffffffffffffff B The real System.map is in the linux-image-dbg package\n")
    real.write_text("".join(f"{0xFFFFFFFF81000000 + n:x} T f{n}\n" for n in range(2000)))
    assert not kallsyms.usable(stub) and kallsyms.usable(real)
    stub.write_text(real.read_text().replace("ffffffff8", "00000000"))
    assert not kallsyms.usable(stub)
