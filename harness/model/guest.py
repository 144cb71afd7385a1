# SPDX-License-Identifier: GPL-2.0-only
"""A distribution as the guest, in the place of the initramfs: its image, and the way into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from harness.model.schema import Model, Name, form, located
from harness.units import GIB, MIB, Size

Format = Literal["qcow2", "raw"]
State = tuple[int, int, int]
"""Size, time of change and inode: while they stay the same, so do the bytes."""


@dataclass(frozen=True)
class Image:
    """An image on disk as it was when its hash was taken."""

    path: Path
    format: Format
    sha256: str
    state: State


class Distribution(Model):
    """Key `guest` of an experiment."""

    image: str
    """qcow2 or raw file, `~` allowed, else relative to the checkout; never written to"""
    root: Annotated[str, form("auto|/dev/[a-z0-9/_-]{1,60}", "`auto` or a device")] = "auto"
    """its root file system, as `/dev/vda1`; `auto` is the first one that has /sbin/init"""
    user: Annotated[str, form("[A-Za-z_][A-Za-z0-9._-]{0,31}", "the name of a user")] = "root"
    """who logs in to run the probes; those of the correctness gate need root"""
    fragments: tuple[Name, ...] = ("distro",)
    """files of kernel-patches/configs/ that every variant is built with beside its own"""
    memory: Size = 512 * MIB
    """what its user space takes of the host, for the prediction before a start"""
    room: Size = Field(default=8 * GIB, gt=0)
    """what it may write to its disk, in bytes of this host"""
    login_s: float = Field(default=60, gt=0)
    """longest from the begin of user space to the login, as for hardware: TCG multiplies it"""

    @property
    def words(self) -> tuple[str, ...]:
        """What the kernel and the first process (harness/guest/src/enter.c) have to know."""
        return (
            # The address that QEMU's network gives, whatever the image would do to get it.
            "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off",
            "net.ifnames=0",
            "cloud-init=disabled",
            f"guest.root={self.root}",
            f"guest.user={self.user}",
        )

    def path(self, checkout: Path) -> Path:
        """Where the image is."""
        return located(self.image, checkout)
