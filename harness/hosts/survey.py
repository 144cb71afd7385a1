# SPDX-License-Identifier: GPL-2.0-only
"""What a bare host has: this file is sent there as it is, and runs under ``python3 -``.

So it knows the standard library alone, and no syntax that is younger than Python 3.7. It changes
nothing, ends by itself, and prints one line of JSON behind a word that no login script prints.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

MARK = "pageinit-survey "
LIMIT_S = 20
QEMU = "qemu-system-x86_64"
KVM_GET_API_VERSION = 0xAE00  # include/uapi/linux/kvm.h


def facts() -> dict[str, object]:
    """Everything that is looked at."""
    return {
        "version": 1,
        "host": platform.node(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "cpu": cpu(),
        "cpus": len(os.sched_getaffinity(0)),
        "load_1min": os.getloadavg()[0],
        "memory_bytes": meminfo("MemTotal"),
        "available_bytes": available(),
        "disk_bytes": shutil.disk_usage(str(Path.home())).free,
        "python": list(sys.version_info[:3]),
        "venv": bool(find_spec("venv") and find_spec("ensurepip")),
        "qemu": qemu(),
        "kvm": kvm(),
        "clock_s": time.time(),
    }


def read(path: str) -> str:
    """A small text file; nothing where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def cpu() -> str:
    match = re.search(r"^model name\s*: (.*)$", read("/proc/cpuinfo"), re.M)
    return match.group(1) if match else platform.processor()


def meminfo(key: str) -> int:
    match = re.search(r"^" + key + r":\s+([0-9]{1,18}) kB$", read("/proc/meminfo"), re.M)
    return int(match.group(1)) << 10 if match else 0


def available() -> int:
    """What is free, of the machine or of a container that we are in."""
    room = [meminfo("MemAvailable")]
    root = "/sys/fs/cgroup/"
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        values = read(root + limit).strip(), read(root + used).strip()
        if all(re.match("[0-9]{1,18}$", value) for value in values):
            room.append(max(0, int(values[0]) - int(values[1])))
    return min(room)


def qemu() -> str:
    """What QEMU says of its version; nothing where there is none."""
    try:
        said = subprocess.run([QEMU, "--version"], stdout=subprocess.PIPE, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.decode("utf-8", "replace").partition("\n")[0][:200]


def kvm() -> str:
    """Why KVM cannot be used; nothing where it answers, though only a boot tells for sure."""
    try:
        file = os.open("/dev/kvm", os.O_RDWR)
    except OSError as error:
        return "/dev/kvm: " + (error.strerror or "cannot be opened")
    try:
        version = fcntl.ioctl(file, KVM_GET_API_VERSION, 0)
        return "" if version == 12 else "/dev/kvm: version " + str(version)
    except OSError as error:
        return "/dev/kvm: " + (error.strerror or "does not answer")
    finally:
        os.close(file)


if __name__ == "__main__":
    signal.alarm(LIMIT_S)
    print(MARK + json.dumps(facts()))
