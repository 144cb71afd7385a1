# SPDX-License-Identifier: GPL-2.0-only
"""A machine, a kernel and a clock as the argument list of QEMU.

Nothing here runs anything. What each argument is for stands beside it, because most of them were
found by boots that failed without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HostError, UserError
from harness.model import X86_64, Accel, Arch, Clock, Image, Machine, Node
from harness.units import TIB, format_cpus, format_size

Version = tuple[int, int, int]

RESERVE_OFF: Version = (6, 1, 0)
"""The first QEMU whose memory backends take ``reserve=off``."""

CODE_LOCKED: Version = (8, 1, 0)
"""The first QEMU that locks the pages of code while it translates them (commit deba78709ae8)."""

MAX_CPUS = 255
"""CPUs of a board without x2APIC and an IOMMU that remaps interrupts: their ids have 8 bits."""

SMBIOS_2 = 16 * TIB
"""RAM that the SMBIOS 2.1 tables of QEMU can describe for sure."""

WORK_TSC_KHZ = 1_000_000
"""With ``-icount`` the guest's TSC counts nanoseconds of virtual time."""

ENTRY = "entry.cpio"
"""What lets a guest that is an image in, in QEMU's working directory: it holds the keys."""

CONSOLE = "console.fifo"
PROBES = "probes.fifo"
MONITOR = "monitor.sock"
"""In QEMU's working directory: relative, so that argv is the same for every run and no path can
pass the 108 bytes of `sun_path`. The harness opens all three before QEMU starts, which opens them
while it builds the machine, before the first guest instruction: no byte is lost.

The serial ports are FIFOs. QEMU writes a serial port byte by byte, and a UNIX socket is full after
278 such writes (each is an skb of its own); then the guest sees a busy UART and polls it, that is
the host's scheduler decides how many instructions a printk takes."""


@dataclass(frozen=True)
class Qemu:
    """The QEMU binary and its version."""

    binary: str
    version: Version


@dataclass(frozen=True)
class CommandLine:
    """What one boot needs from QEMU.

    `words` are the kernel parameters of variant and experiment; `tsc_khz` is the host's TSC rate,
    `hz` what the kernel was built for (CONFIG_HZ), where they are known; `plugins` are those of TCG
    with their options; `image` is the guest's disk, where it has one.
    With `sockets` off the console goes to stdout and the probes to a file: that is the line for
    people to run by hand. What is `typed` goes to the console by a FIFO of its own.
    """

    machine: Machine
    kernel: Path
    initrd: Path
    clock: Clock
    accel: Accel
    qemu: Qemu
    words: tuple[str, ...] = ()
    tsc_khz: int | None = None
    plugins: tuple[str, ...] = ()
    image: Image | None = None
    hz: int | None = field(default=None, kw_only=True)
    sockets: bool = field(default=True, kw_only=True)
    typed: bool = field(default=False, kw_only=True)

    @property
    def append(self) -> str:
        """The kernel command line. The kernel takes the last of two: experiments win."""
        arch = self.machine.architecture
        common = kernel_words(self.clock, self.accel, self.tsc_khz, self.hz, arch)
        return " ".join((*common, *self.machine.boot, *self.words))


def render(line: CommandLine) -> list[str]:
    """The argument list of QEMU; raises `UserError` or `HostError` for what it cannot do."""
    machine = line.machine
    if line.clock == "work" and line.accel != "tcg":
        raise UserError("the work clock counts instructions, which only TCG can do")
    return [
        line.qemu.binary,
        *("-machine", _board(machine)),
        *_accel(line),
        *("-cpu", _cpu(line)),
        *("-smp", _smp(machine)),
        *("-m", f"{machine.memory >> 20}M"),
        *_memory(line),
        *_distances(machine),
        *("-name", f"{machine.name},debug-threads=on"),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        # panic=-1 resets at once, and this turns the reset into the end of the process.
        "-no-reboot",
        *_ports(line),
        *(_disk(line.image) if line.image else ()),
        *(word for plugin in line.plugins for word in ("-plugin", plugin)),
        *("-kernel", str(line.kernel), "-initrd", str(line.initrd), "-append", line.append),
        *machine.extra_args,
    ]


def obstacle(machine: Machine, host_bits: int | None = None) -> str | None:
    """Why the machine cannot be had; none where it can, or nobody knows.

    `host_bits` are the physical address bits of the host, where the guest gets those: under KVM.
    """
    if host_bits and machine.address_bits > host_bits:
        need = f"{format_size(machine.memory)} needs {machine.address_bits} physical address bits"
        return f"{need}, under KVM a guest has those of the host's CPU, {host_bits}; TCG has more"
    if machine.cpus > MAX_CPUS and machine.machine.startswith(("pc", "q35")):
        most = f"the board {machine.machine} stops at {MAX_CPUS} CPUs"
        return f"{most}, the machine has {machine.cpus}"
    return None


def _board(machine: Machine) -> str:
    # KSM would give back memory that the RSS should show, and a core would hold all guest RAM.
    board = f"{machine.machine},mem-merge=off,dump-guest-core=off"
    if machine.arch == "arm64":
        # Version 2 of the GIC has 8 CPUs; and no boot gets a random seed in its device tree.
        return f"{board},gic-version=3,dtb-randomness=off"
    # QEMU describes 16 GiB in each SMBIOS memory device. Tables of SMBIOS 2.1 end at 64 KiB, which
    # is some 18 TiB; those of SMBIOS 3.0 take 59 TiB, where the numbers of their handles run out.
    large = machine.memory > SMBIOS_2 and "smbios-entry-point-type" not in board
    return board + (",smbios-entry-point-type=64" if large else "")


def kernel_words(
    clock: Clock, accel: Accel, tsc_khz: int | None, hz: int | None, arch: Arch = X86_64
) -> tuple[str, ...]:
    """The kernel parameters of every boot. Only what the measurement itself needs is here."""
    words = [
        *arch.console,
        "panic=-1",
        "printk.time=1",
        # A random kernel address would move the noise about and hide symbols from System.map.
        "nokaslr",
    ]
    # The generic timer of arm64 says its own rate, and delays go by it.
    x86 = arch is X86_64
    if x86:
        # Neither TCG nor a KVM on AMD without an invariant TSC shows constant_tsc; then the kernel
        # calls the TSC of several sockets (Linux 6.1: of several CPUs) unsynchronised, and falls
        # back to jiffies, or to the HPET: each look at that clock leaves the guest (docs/kvm.md).
        # It is one host counter (or virtual time) for all CPUs; marks count it in any case.
        words.append("tsc=reliable")
        khz = WORK_TSC_KHZ if clock == "work" else tsc_khz
        if khz:
            # Early calibration fails by chance; then the memmap phase has no stamps.
            words.append(f"tsc_early_khz={khz}")
    if accel == "kvm" and x86:
        # The timer interrupt is awaited for some ticks of the TSC and missed where QEMU's thread is
        # late: a panic. With KVM_GUEST, which our kernels are without, Linux waives that check too.
        words.append("no_timer_check")
    if clock == "work":
        # Newer QEMU hands a random seed to the kernel; it must not reach a boot that is repeated.
        words += ["random.trust_cpu=off", "random.trust_bootloader=off"]
    if clock == "work" and x86:
        # Its calibration polls for 200 ms of virtual time, each poll an exit from translated code:
        # 20 s of the host, to find at the end that this timer cannot be trusted here.
        words.append("nolapic_timer")
        # It waits ten ticks for what it is told here.
        words.append("no_timer_check")
        if hz:
            # Else each further CPU counts its delay loop for ten ticks: 1 G instructions a CPU. The
            # kernel delays by the TSC, whose cycles in a tick are what the first CPU takes.
            words.append(f"lpj={WORK_TSC_KHZ * 1000 // hz}")
    return tuple(words)


def _accel(line: CommandLine) -> list[str]:
    if line.accel == "kvm":
        return ["-accel", "kvm"]
    if line.clock == "time":
        return ["-accel", "tcg,thread=multi"]
    icount = f"shift={line.machine.work_clock.shift},sleep=off"
    return [
        *("-accel", "tcg,thread=single", "-icount", icount),
        *("-rtc", "base=2020-01-01,clock=vm"),
    ]


def _cpu(line: CommandLine) -> str:
    if line.machine.arch != "x86_64":
        return line.machine.cpu
    # TCG has 40 bits by default and refuses 1 TiB; under KVM only the bits of the host work.
    bits = "host-phys-bits=on" if line.accel == "kvm" else f"phys-bits={line.machine.phys_bits}"
    random = ",-rdrand,-rdseed" if line.clock == "work" else ""
    return f"{line.machine.cpu},{bits}{random}"


def _smp(machine: Machine) -> str:
    """One socket a node where that is possible, else one a CPU: a socket that spans nodes makes
    the kernel warn that siblings are not on the same node."""
    populated = [node.cpus for node in machine.nodes if node.cpus]
    each = len(populated[0])
    tiled = [tuple(range(n * each, n * each + each)) for n in range(len(populated))]
    # An id has whole bits for the cores of a socket: 3 sockets of 85 would reach beyond 255.
    last = len(populated) - 1 << (each - 1).bit_length() | each - 1
    fits = populated == tiled and last < MAX_CPUS
    sockets, cores = (len(populated), each) if fits else (machine.cpus, 1)
    return f"{machine.cpus},sockets={sockets},cores={cores},threads=1"


def _memory(line: CommandLine) -> list[str]:
    backend = line.machine.memory_backend
    if not backend.reserve and line.qemu.version < RESERVE_OFF:
        raise HostError(
            f"QEMU {'.'.join(map(str, line.qemu.version))} has no reserve=off for memory backends",
            where=line.qemu.binary,
            remedy="install QEMU 6.1 or newer",
        )
    options = f"reserve={_switch(backend.reserve)},prealloc={_switch(backend.prealloc)}"
    argv = []
    for number, node in enumerate(line.machine.nodes):
        if node.memory:
            kind = f"memory-backend-{backend.type},id=m{number},size={node.memory >> 20}M"
            argv += ["-object", f"{kind},{options}"]
        argv += ["-numa", _node(number, node)]
    return argv


def _node(number: int, node: Node) -> str:
    parts = [f"node,nodeid={number}"]
    if node.memory:
        parts.append(f"memdev=m{number}")
    if node.cpus:
        parts += [f"cpus={cpus}" for cpus in format_cpus(node.cpus).split(",")]
    return ",".join(parts)


def _distances(machine: Machine) -> list[str]:
    argv = []
    for a, row in enumerate(machine.distance_matrix):
        for b, value in enumerate(row):
            if a < b:  # QEMU mirrors the other half
                argv += ["-numa", f"dist,src={a},dst={b},val={value}"]
    return argv


def _ports(line: CommandLine) -> list[str]:
    """A guest with a disk reports by SSH: what it writes to a second port would not be ours."""
    second = not line.image
    # The board virt has one port; another stands behind PCI.
    x86 = line.machine.arch == "x86_64"
    port = ("-serial", "chardev:probes") if x86 else ("-device", "pci-serial,chardev=probes")
    if not line.sockets:
        alone = ("-serial", "file:probes.jsonl")
        more = alone if x86 else ("-chardev", "file,id=probes,path=probes.jsonl", *port)
        return ["-serial", "stdio", *(more if second else ())]
    probes = ("-chardev", f"file,id=probes,path={PROBES}", *port)
    console = "pipe" if line.typed else "file"
    return [
        *("-chardev", f"{console},id=console,path={CONSOLE}", "-serial", "chardev:console"),
        *(probes if second else ()),
        *("-chardev", f"socket,id=monitor,path={MONITOR}", "-mon", "chardev=monitor,mode=control"),
    ]


def _disk(image: Image) -> list[str]:
    """The image, never written to, and a network that leads nowhere but to the guest's port 22."""
    path = str(image.path).replace(",", ",,")
    return [
        # What the guest writes goes to a file without a name, which ends with QEMU.
        *("-drive", f"file={path},format={image.format},if=none,id=disk,snapshot=on"),
        *("-device", "virtio-blk-pci,drive=disk"),
        # Port 0: QEMU takes a free one, and the monitor tells which.
        *("-netdev", "user,id=net,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22"),
        # No option ROM: nobody boots from the network.
        *("-device", "virtio-net-pci,netdev=net,romfile="),
    ]


def _switch(value: bool) -> str:
    return "on" if value else "off"
