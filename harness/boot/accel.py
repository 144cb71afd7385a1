# SPDX-License-Identifier: GPL-2.0-only
"""Which accelerator really runs a kernel here. Only a boot tells: /dev/kvm may open and hang."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import host
from harness.boot.boot import boot
from harness.boot.request import BootRequest
from harness.errors import HostError
from harness.files import scratch, write_atomic
from harness.model import Accel, Machine, Probes, Timeouts

_LIMITS = Timeouts(silence_s=5, progress_s=8, grace_s=0.5)
BOOT_S = 2.0
"""Seconds that the probe boot takes at most under a KVM on hardware."""

_FORM = "2"
"""Of what is kept; others are found anew: the first one denied a slow KVM."""

_MACHINE = {
    "name": "accelerator-probe",
    "description": "as small as it gets",
    "nodes": [{"cpus": "0-1", "memory": "512MiB"}],
    "deadline_s": 15,
}


@dataclass(frozen=True)
class AccelProbe:
    """Whether KVM booted a kernel to user space, and what came in between if not."""

    kvm: bool
    detail: str
    slowdown: float | None = None
    """how much longer than on hardware the boot took, where it came to user space"""


def choose(
    wanted: Accel | Literal["auto"], kernel: Path, initrd: Path, cache: Path
) -> tuple[Accel, float | None]:
    """The accelerator to use: the one asked for, or the one that a probe boot found to work; with
    the slowdown that the probe boot had, where it is KVM.

    Raises `HostError` when KVM is asked for and does not run a kernel.
    """
    if wanted == "tcg":
        return "tcg", None
    verdict = probe(kernel, initrd, cache)
    if wanted == "kvm" and not verdict.kvm:
        raise HostError(
            f"KVM does not boot a kernel here: {verdict.detail}",
            remedy="set `accel: tcg` or `auto` in the machine, or mend /dev/kvm",
        )
    return ("kvm", verdict.slowdown) if verdict.kvm else ("tcg", None)


def probe(kernel: Path, initrd: Path, cache: Path) -> AccelProbe:
    """Boots a small guest under KVM, once per host and QEMU version; later from the cache."""
    memory = cache / "accelerator" / f"{_fingerprint()}.json"
    try:
        return AccelProbe(**json.loads(memory.read_bytes()))
    except (OSError, ValueError, TypeError):
        verdict = _try(kernel, initrd)
        write_atomic(memory, json.dumps(vars(verdict)) + "\n")
        return verdict


def known(cache: Path) -> AccelProbe | None:
    """What the last probe on this host found, if there was one."""
    try:
        text = (cache / "accelerator" / f"{_fingerprint()}.json").read_text()
        return AccelProbe(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None


def _try(kernel: Path, initrd: Path) -> AccelProbe:
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return AccelProbe(False, "no /dev/kvm that we may open")
    slow = host.measure_slowdown()
    request = BootRequest(
        kernel,
        initrd,
        Machine.parse(_MACHINE, "accelerator probe"),
        "kvm",
        probes=Probes(run=()),
        limits=_LIMITS,
        tsc_khz=host.kvm_tsc_khz(),
        force=True,
        kvm_slowdown=slow,
    )
    with scratch() as folder:
        ending = boot(request, folder).ending
    limits = f"limits {slow:.1f} times those of hardware" if slow > 1 else ""
    if ending.cause == "done":
        said = (f"booted to user space in {ending.wall_s:.1f} s", limits, _timekeeping())
        slowdown = round(max(1.0, ending.wall_s / BOOT_S), 1)
        return AccelProbe(True, "; ".join(filter(None, said)), slowdown)
    how = ending.detail.splitlines()[-1] if ending.detail else ""
    why = " ".join(filter(None, (ending.cause, ending.signal, how)))[:200]
    return AccelProbe(False, "; ".join(filter(None, (why, limits))))


def _timekeeping() -> str:
    """What is wrong with the TSC, by which the marks of a boot are taken; empty for nothing."""
    source = host.clocksource()
    steady = source in ("", "tsc", "kvm-clock", "hyperv_clocksource_tsc_page")
    return "" if steady else f"the host keeps time by {source}: its TSC, and marks, may not be even"


def _fingerprint() -> str:
    version = ".".join(map(str, host.find_qemu().version))
    device = os.access("/dev/kvm", os.R_OK | os.W_OK)
    facts = (_FORM, platform.node(), host.cpu_model(), platform.release(), version, str(device))
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]
