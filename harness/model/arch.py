# SPDX-License-Identifier: GPL-2.0-only
"""Architectures of guests, and what differs between them for those who build and boot."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Literal

ArchName = Literal["x86_64", "arm64"]
"""As the kernel's make calls them."""


@dataclass(frozen=True)
class Arch:
    """What a kernel of one architecture is built with, and what emulates it."""

    name: ArchName
    machine: str
    """what ``uname -m`` says there"""
    image: str
    """what make builds, in its folder below the build's"""
    folder: str
    qemu: str
    """the binary of QEMU"""
    boards: tuple[str, ...]
    """how the names of its machine types begin that we know"""
    triplet: str
    """prefix of the compiler and of the binutils on a host of another architecture"""
    console: tuple[str, ...]
    """kernel parameters: where it prints, the very first lines too"""

    @property
    def native(self) -> bool:
        """Whether this host is one."""
        return platform.machine() == self.machine

    @property
    def prefix(self) -> str:
        """What stands before the names of compiler and binutils here."""
        return "" if self.native else self.triplet


X86_64 = Arch(
    name="x86_64",
    machine="x86_64",
    image="bzImage",
    folder="arch/x86/boot",
    qemu="qemu-system-x86_64",
    boards=("pc", "q35", "microvm"),
    triplet="x86_64-linux-gnu-",
    # Without an early console nothing is printed before console_init, that is until the whole
    # memmap is initialised: a hang or a panic in there would show no output at all.
    console=("console=ttyS0", "earlycon=uart8250,io,0x3f8,115200n8"),
)
ARM64 = Arch(
    name="arm64",
    machine="aarch64",
    image="Image",
    folder="arch/arm64/boot",
    qemu="qemu-system-aarch64",
    boards=("virt",),
    triplet="aarch64-linux-gnu-",
    # The board virt has its PL011 there (hw/arm/virt.c, VIRT_UART).
    console=("console=ttyAMA0", "earlycon=pl011,0x9000000"),
)

ARCHS: dict[ArchName, Arch] = {arch.name: arch for arch in (X86_64, ARM64)}
