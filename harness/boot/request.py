# SPDX-License-Identifier: GPL-2.0-only
"""What is asked of one boot: kernel, machine, user space, probes, and how long it may take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness import host
from harness.guest import Initramfs
from harness.kernel import kconfig
from harness.model import (
    Accel,
    Clock,
    Counting,
    Distribution,
    Image,
    Machine,
    MemoryModel,
    Probes,
    Timeouts,
)
from harness.qemu import command, plugin


@dataclass(frozen=True)
class Guest:
    """A distribution in the place of the initramfs: what it is, and the files that are needed."""

    distribution: Distribution
    image: Image
    program: Initramfs
    """the probes, which are copied into it"""


@dataclass(frozen=True)
class BootRequest:
    """What boots, on what, and within which limits (unscaled: as for hardware)."""

    kernel: Path
    initrd: Path
    machine: Machine
    accel: Accel
    clock: Clock = "time"
    words: tuple[str, ...] = ()
    probes: Probes = field(default_factory=Probes)
    limits: Timeouts = field(default_factory=Timeouts)
    memory_model: MemoryModel = field(default_factory=MemoryModel)
    system_map: Path | None = None
    tsc_khz: int | None = None
    """of the TSC that the guest sees, where it is known"""
    force: bool = False
    plugin: Path | None = None
    """the plugin that counts stores, where they are counted"""
    idle: Path | None = None
    """the plugin that tells idle from work, on the work clock"""
    guest: Guest | None = None
    """a distribution that `initrd` hands over to"""
    typed: bool = False
    """the console takes input"""
    config: Path | None = None
    """the kernel's configuration, where it is known"""
    profile: Path | None = None
    """the plugin that counts instructions by function, where they are; needs `system_map`"""
    counting: Counting | None = field(default=None, kw_only=True)
    """what that plugin counts in the place of instructions"""
    kvm_slowdown: float | None = field(default=None, kw_only=True)
    """how much slower than on hardware KVM is here, where that was measured"""

    @property
    def obstacle(self) -> str | None:
        """Why kernel and machine do not fit; none where nothing says so."""
        known, disk = kconfig.read(self.config), self.guest is not None
        bits = host.address_bits() if self.accel == "kvm" else None
        return command.obstacle(self.machine, bits) or kconfig.obstacle(
            known, self.machine, disk=disk
        )

    @property
    def unprofiled(self) -> str | None:
        """Why no profile can be had that is asked for; none where it can."""
        if self.clock != "work":
            return "functions are profiled on the work clock alone, where the CPUs take turns"
        if not self.system_map or not self.system_map.is_file():
            return "the kernel has no System.map, by which functions have names"
        return None

    @property
    def symbols(self) -> str:
        """The text of System.map, as far as there is one."""
        if not self.system_map or not self.system_map.is_file():
            return ""
        return self.system_map.read_text(encoding="ascii", errors="replace")

    @property
    def slowdown(self) -> float:
        """How much longer than on hardware this boot may take."""
        if self.accel == "kvm":
            return host.SLOWDOWN["kvm"] * (self.kvm_slowdown or 1)
        return host.SLOWDOWN["tcg"] * (host.WORK_SLOWDOWN if self.clock == "work" else 1)

    @property
    def scaled(self) -> Timeouts:
        limits = {k: v * self.slowdown for k, v in self.limits.model_dump().items()}
        return Timeouts.model_validate(limits)

    def command(self, binary: command.Qemu, *, sockets: bool = True) -> command.CommandLine:
        """The line of QEMU for this boot; without `sockets`, the one for people."""
        machine = self.machine
        if self.clock == "work" and machine.work_clock.one_cpu:
            machine = machine.model_copy(update={"boot": (*machine.boot, "maxcpus=1")})
        guest = self.guest
        return command.CommandLine(
            machine,
            self.kernel,
            # With the keys, which are of this boot only.
            Path(command.ENTRY) if guest and sockets else self.initrd,
            self.clock,
            self.accel,
            binary,
            (*self.words, *(guest.distribution.words if guest else probe_words(self.probes))),
            self.tsc_khz,
            tuple(self._plugins()),
            guest.image if guest else None,
            hz=kconfig.hz(kconfig.read(self.config)),
            sockets=sockets,
            typed=self.typed,
        )

    @property
    def taken(self) -> int:
        """Bytes of the host that user space takes, the probes among it."""
        more = self.guest.distribution.memory if self.guest else 0
        return self.probes.touched(self.machine.memory) + more

    @property
    def deadline_s(self) -> float:
        """Seconds until this boot is given up, on this accelerator."""
        more = self.guest.distribution.login_s if self.guest else 0
        return (self.machine.deadline_s + more) * self.slowdown

    def _plugins(self) -> Iterator[str]:
        if self.plugin and not plugin.obstacle(self.machine, self.symbols):
            yield plugin.option(self.plugin, self.machine, self.symbols)
        if self.idle and self.clock == "work":
            yield plugin.idle_option(self.idle)
        if self.profile and self.system_map:
            yield plugin.profile_option(self.profile, self.system_map, self.counting)


def probe_words(probes: Probes) -> tuple[str, ...]:
    """What the init of the guest reads from the kernel command line."""
    return (
        f"probe.run={','.join(probes.run)}",
        f"probe.touch_bytes={probes.touch_bytes}",
        f"probe.touch_threads={probes.touch_threads}",
    )
