# SPDX-License-Identifier: GPL-2.0-only
"""What compiles the kernels of a base."""

import dataclasses

import pytest

from harness.model import arch
from harness.model.base import Toolchain

CROSS = "aarch64-linux-gnu-"


@pytest.mark.parametrize(
    ("chosen", "host", "told"),
    [
        ({}, "x86_64", ("gcc", "ld")),
        ({"cross": "x-"}, "x86_64", ("x-gcc", "x-ld", "CROSS_COMPILE=x-")),
        (
            {"arch": "arm64"},
            "x86_64",
            (f"{CROSS}gcc", f"{CROSS}ld", "ARCH=arm64", f"CROSS_COMPILE={CROSS}"),
        ),
        ({"arch": "arm64"}, "aarch64", ("gcc", "ld")),
        (
            {"arch": "arm64", "llvm": "-19"},
            "x86_64",
            ("clang-19", "ld.lld-19", "ARCH=arm64", "LLVM=-19", f"CROSS_COMPILE={CROSS}"),
        ),
    ],
)
def test_a_toolchain_is_what_make_is_told(monkeypatch, chosen, host, told):
    monkeypatch.setattr(arch.platform, "machine", lambda: host)
    made = Toolchain(**chosen)
    assert (made.cc, made.linker, *made.words) == told


def test_a_toolchain_of_before_there_were_architectures_is_what_it_was():
    assert Toolchain(cross="x-").model_dump() == {"compiler": None, "llvm": False, "cross": "x-"}
    assert Toolchain(arch="arm64").model_dump()["arch"] == "arm64"


def test_each_architecture_has_a_name_of_its_own_for_all_that_lies_side_by_side():
    for key in ("name", "machine", "image", "qemu", "triplet"):
        values = [dataclasses.asdict(each)[key] for each in arch.ARCHS.values()]
        assert len(set(values)) == len(values), key
