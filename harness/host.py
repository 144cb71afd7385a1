# SPDX-License-Identifier: GPL-2.0-only
"""What the numbers depend on beside kernel and machine: CPU, memory, QEMU, and what is missing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import __version__, process
from harness.errors import HostError
from harness.foreign import whole
from harness.model import ARM64, X86_64, Accel, Arch, Environment, HostSample, Neighbours
from harness.qemu import CODE_LOCKED, RESERVE_OFF, Footprint, Qemu
from harness.units import GIB, format_size

SLOWDOWN = {"kvm": 1.0, "tcg": 4.0}
"""How much longer than on hardware a boot may take: limits are multiplied by it."""

WORK_LOOPS = 1_000_000
WORK_S = 0.03
"""Seconds that so many turns of an empty loop of Python take on a core that is no fast one."""

KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_GET_TSC_KHZ = 0xAE01, 0xAE41, 0xAEA3
"""Of include/uapi/linux/kvm.h."""

WORK_SLOWDOWN = 5.0
"""And again on the work clock (measured: 4.4 times, shift 0)."""

NEED_DISK = 12 * GIB
_BUILD_TOOLS = ("gcc", "ld", "make", "flex", "bison", "bc", "git", "dpkg-deb")


@dataclass(frozen=True)
class Diagnosis:
    """One line of ``harness doctor``."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def find_qemu(arch: Arch = X86_64) -> Qemu:
    """The QEMU of this host for guests of an architecture; raises `HostError` for none."""
    binary = shutil.which(arch.qemu)
    if not binary:
        raise process.missing(arch.qemu)
    said = process.run([binary, "--version"]).stdout.decode("utf-8", "replace")
    match = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    if not match:
        raise HostError(f"cannot read a version from {said[:80]!r}", where=binary)
    return Qemu(arch.qemu, (int(match[1]), int(match[2]), int(match[3])))


def has_plugins(qemu: Qemu) -> bool:
    """Whether this QEMU was built with plugins of TCG."""
    return b"\n-plugin " in process.run([qemu.binary, "-help"], check=False).stdout


def environment(accel: Accel, arch: Arch = X86_64, slowdown: float | None = None) -> Environment:
    """The facts about this host that go with every run of guests of an architecture."""
    return Environment(
        host=platform.node(),
        host_cpu=cpu_model(),
        host_cpus=os.cpu_count() or 1,
        host_memory_bytes=_meminfo("MemTotal"),
        host_kernel=platform.release(),
        qemu_version=".".join(map(str, find_qemu(arch).version)),
        accel=accel,
        thp=False,
        tsc_khz=kvm_tsc_khz() if accel == "kvm" else tsc_khz(),
        slowdown=slowdown,
        load_1min=round(os.getloadavg()[0], 2),
        harness_version=__version__,
    )


def cpu_model() -> str:
    match = re.search(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.M)
    return match[1] if match else platform.machine()


def address_bits() -> int | None:
    """Physical address bits of the host's CPU, which a guest has under KVM; none where untold."""
    match = re.search(r"^address sizes\s*: (\d+) bits physical", _read("/proc/cpuinfo"), re.M)
    return int(match[1]) if match else None


def tsc_khz() -> int | None:
    """The rate of the host's TSC, which the guest sees under TCG; none where it is not known."""
    text = _read("/proc/cpuinfo")
    if "constant_tsc" not in text:
        return None
    if match := re.search(r"@ (\d+\.\d+)GHz", text):
        return round(float(match[1]) * 1e6)
    # Where the kernel cannot measure the frequency (APERF/MPERF), it shows cpu_khz, the TSC's.
    rates = set(re.findall(r"^cpu MHz\s*: (\d+\.\d+)$", text, re.M))
    known = len(rates) == 1 and "aperfmperf" not in text
    return round(float(rates.pop()) * 1000) if known else None


def kvm_tsc_khz() -> int | None:
    """The rate of the TSC that KVM gives a guest, by its own word; none where it has none."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        opened = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, opened)
        for request in (KVM_CREATE_VM, KVM_CREATE_VCPU):
            opened = fcntl.ioctl(opened, request, 0)
            stack.callback(os.close, opened)
        return fcntl.ioctl(opened, KVM_GET_TSC_KHZ, 0) or None
    return None


def clocksource() -> str:
    """What the host's kernel keeps time by; empty where it does not say."""
    return _read("/sys/devices/system/clocksource/clocksource0/current_clocksource").strip()


def measure_slowdown() -> float:
    """How much longer than on hardware work takes here and now, at least 1: emulation, or load.

    The shortest of three, so that one turn of another process counts for little.
    """

    def turn() -> float:
        start = time.monotonic()
        for _ in range(WORK_LOOPS):
            pass
        return time.monotonic() - start

    return max(1.0, min(turn() for _ in range(3)) / WORK_S)


def available_memory() -> int:
    """Bytes that a boot may take: of the machine, or of the cgroup that we are in."""
    return min(_meminfo("MemAvailable"), *_cgroup_room(), 1 << 62)


def oom_kills() -> int:
    """Processes that the OOM killer of this host has killed since it booted; 0 where untold."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return whole(line.split()[1]) or 0
    return 0


def refusal(footprint: Footprint, available: int) -> str | None:
    """Why a boot cannot fit, with the numbers; none when it can."""
    if footprint.total <= available:
        return None
    parts = ", ".join(
        f"{name} {format_size(value)}" for name, value in vars(footprint).items() if value
    )
    return (
        f"needs about {format_size(footprint.total)} of host memory ({parts}),"
        f" {format_size(available)} are available; --force boots it all the same"
    )


def checks(cache: Path) -> list[Diagnosis]:
    """What this host has of what the harness needs. The accelerator is tried elsewhere."""
    return [
        *(_check_tool(name) for name in _BUILD_TOOLS),
        _attempt("qemu", _qemu_detail, "apt-get install qemu-system-x86"),
        # The last two are for kernels of arm64.
        *(_check_tool(name, needed=False) for name in ("ccache", ARM64.qemu, f"{ARM64.prefix}gcc")),
        _check_header("libelf.h", "libelf-dev"),
        _check_header("openssl/opensslv.h", "libssl-dev"),
        _check_disk(cache),
        Diagnosis("memory", (free := available_memory()) > 2 * GIB, f"{format_size(free)} free"),
    ]


def _qemu_detail() -> str:
    qemu = find_qemu()
    version = ".".join(map(str, qemu.version))
    if qemu.version < RESERVE_OFF:
        raise HostError(f"{version} has no reserve=off for memory backends; 6.1 has")
    if qemu.version < CODE_LOCKED:
        return (
            f"{version}; before 8.1 TCG may run stale code: such a boot is recognised and repeated"
        )
    return version


def _attempt(name: str, detail: Callable[[], str], remedy: str) -> Diagnosis:
    try:
        return Diagnosis(name, True, detail())
    except HostError as error:
        return Diagnosis(name, False, error.what, remedy)


def _check_tool(name: str, needed: bool = True) -> Diagnosis:
    path = shutil.which(name)
    remedy = f"apt-get install {process.PACKAGES.get(name, name)}"
    ok = bool(path) or not needed
    return Diagnosis(name, ok, path or "not installed", "" if path else remedy)


def _check_header(header: str, package: str) -> Diagnosis:
    probe = f"#include <{header}>\n".encode()
    try:
        found = process.run(["gcc", "-E", "-x", "c", "-"], stdin=probe, check=False).returncode == 0
    except HostError:
        found = False
    detail, remedy = ("found", "") if found else ("no headers", f"apt-get install {package}")
    return Diagnosis(package, found, detail, remedy)


def _check_disk(cache: Path) -> Diagnosis:
    folder = next(p for p in (cache, *cache.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{format_size(free)} free for the cache in {cache}"
    enough = free > NEED_DISK
    return Diagnosis("disk", enough, detail, "" if enough else "set PAGEINIT_CACHE")


def _cgroup_room() -> list[int]:
    root = Path("/sys/fs/cgroup")
    room = []
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        most, taken = (whole(_read(str(root / name)).strip()) for name in (limit, used))
        if most is not None and taken is not None:
            room.append(max(0, most - taken))
    return room


def _meminfo(key: str) -> int:
    match = re.search(rf"^{key}:\s+(\d+) kB$", _read("/proc/meminfo"), re.M)
    return (whole(match[1]) or 0) << 10 if match else 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CpuTime:
    """Seconds since the host started, of all its CPUs together."""

    busy_s: float
    steal_s: float
    """wanted by a CPU of ours, and given to another machine by the hypervisor below us"""

    @classmethod
    def parse(cls, text: str) -> CpuTime | None:
        """The first line of /proc/stat (proc(5)); none where it has another form."""
        name, _, rest = text.partition("\n")[0].partition(" ")
        fields = [whole(word) for word in rest.split()]
        ticks = [number for number in fields if number is not None]
        if name != "cpu" or len(fields) < 8 or len(ticks) < len(fields):
            return None
        # Time of guests is in user and nice.
        seconds = [number / _TICKS for number in ticks[:8]]
        user, nice, system, _, _, irq, softirq, steal = seconds
        return cls(user + nice + system + irq + softirq, steal)

    @classmethod
    def now(cls) -> CpuTime | None:
        """None where the host does not tell."""
        try:
            return cls.parse(Path("/proc/stat").read_text(encoding="ascii"))
        except OSError:
            return None


def neighbours(before: CpuTime | None, samples: Sequence[HostSample]) -> Neighbours | None:
    """What was done since `before` beside the process of these samples; none where untold."""
    after = CpuTime.now()
    if before is None or after is None or not samples:
        return None
    own_s = samples[-1].user_s + samples[-1].system_s
    # Each figure is rounded to a tick by itself.
    return Neighbours(
        others_s=round(max(0.0, after.busy_s - before.busy_s - own_s), 2),
        steal_s=round(max(0.0, after.steal_s - before.steal_s), 2),
    )
