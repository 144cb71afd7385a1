# SPDX-License-Identifier: GPL-2.0-only
"""Which accelerator really runs a kernel here. Only a boot tells: /dev/kvm may open and hang."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness import host
from harness.boot.boot import boot
from harness.boot.request import BootRequest
from harness.errors import HostError
from harness.files import scratch, write_atomic
from harness.model import Accel, Machine, Probes, Timeouts

_LIMITS = Timeouts(silence_s=5, progress_s=8, grace_s=0.5)
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


def choose(wanted: Accel | Literal["auto"], kernel: Path, initrd: Path, cache: Path) -> Accel:
    """The accelerator to use: the one asked for, or the one that a probe boot found to work.

    Raises `HostError` when KVM is asked for and does not run a kernel.
    """
    if wanted == "tcg":
        return "tcg"
    verdict = probe(kernel, initrd, cache)
    if wanted == "kvm" and not verdict.kvm:
        raise HostError(
            f"KVM does not boot a kernel here: {verdict.detail}",
            remedy="set `accel: tcg` or `auto` in the machine, or mend /dev/kvm",
        )
    return "kvm" if verdict.kvm else "tcg"


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
    machine = Machine.parse(_MACHINE, "accelerator probe")
    request = BootRequest(
        kernel, initrd, machine, "kvm", probes=Probes(run=()), limits=_LIMITS, force=True
    )
    with scratch() as folder:
        ending = boot(replace(request), folder).ending
    if ending.cause == "done":
        return AccelProbe(True, f"booted to user space in {ending.wall_s:.1f} s")
    how = ending.detail.splitlines()[-1] if ending.detail else ""
    return AccelProbe(False, " ".join(filter(None, (ending.cause, ending.signal, how)))[:200])


def _fingerprint() -> str:
    version = ".".join(map(str, host.find_qemu().version))
    device = os.access("/dev/kvm", os.R_OK | os.W_OK)
    facts = (platform.node(), host.cpu_model(), platform.release(), version, str(device))
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]
