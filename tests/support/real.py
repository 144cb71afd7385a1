# SPDX-License-Identifier: GPL-2.0-only
"""What the tests with a real QEMU share: guests of our own, and processes to kill."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import process as tool
from harness.guest import initramfs
from harness.guest.initramfs import FLAGS, CpioEntry, Initramfs, cpio
from harness.model.experiment import Experiment
from harness.model.run import Run
from harness.project import Project
from harness.report import render
from harness.run import loop
from harness.run.loop import RunOptions
from harness.run.session import prepare
from tests.support.checkout import ROOT, heed_ctrl_c


def guest(folder: Path, program: str) -> bytes:
    """An initramfs whose init is a C program with this text in `main`."""
    source = folder / "guest.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <stdio.h>\n#include <string.h>\n"
        "#include <sys/mount.h>\n#include <sys/reboot.h>\n#include <sys/stat.h>\n"
        "#include <unistd.h>\n"
        "static inline void put(const char *path, const char *text)\n"
        "{\n\tint fd = open(path, O_WRONLY);\n\n"
        "\tif (write(fd, text, strlen(text)) < 0)\n\t\tperror(path);\n\tclose(fd);\n}\n"
        'int main(void)\n{\n\tmkdir("/dev", 0755);\n\tmount("dev", "/dev", "devtmpfs", 0, NULL);\n'
        f"{program}\n\treturn 0;\n}}\n"
    )
    tool.run(["gcc", *FLAGS, "-o", folder / "guest", source])
    return cpio(
        [
            CpioEntry("dev", stat.S_IFDIR | 0o755),
            CpioEntry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
            CpioEntry("init", stat.S_IFREG | 0o755, (folder / "guest").read_bytes()),
        ]
    )


def boot_guest(
    project: Project, experiment: Experiment, program: str, folder: Path
) -> tuple[Run, Path]:
    """Boots a program of ours as init; answers the first run and the folder of the dataset."""
    image = folder / "guest.cpio"
    image.write_bytes(guest(folder, program))
    session = prepare(project, experiment)
    session = replace(session, initramfs=Initramfs(image, initramfs.build(project.cache).sha256))
    options = RunOptions(folder / "results")
    results = loop.open_results(session, options)
    with results.locked():
        loop.run(session, results, options, lambda event: None)
    render.publish(results)
    return results.read()[0][0].run, results.path


def start(*words: str) -> subprocess.Popen[str]:
    """``harness`` as a process of its own, in the current folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def qemus(parent: int) -> list[int]:
    """The QEMU processes that a process has started and that still run."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    # Asked once: it may end meanwhile.
    return [pid for pid in pids if (facts := _qemu(pid)) and facts[1] == str(parent)]


def running(pid: int) -> bool:
    """Whether a process is a QEMU that runs; a zombie does not."""
    return bool(_qemu(pid))


def _qemu(pid: int) -> list[str]:
    """State and parent of a QEMU process; nothing where it is none, or has ended."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return []
    facts = rest.split()[:2]
    return facts if "(qemu-system" in name and facts[0] not in "ZX" else []


def until(found: Callable[[], object], seconds: float = 60) -> Any:
    """Waits for something and answers it."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


def memory_totals(run: Run) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Pages spanned, present and managed of every zone, and MemTotal of the machine and nodes."""
    keys = ("spanned_pages", "present_pages", "managed_pages")
    zones = {
        (probe["node"], probe["zone"]): tuple(probe[key] for key in keys)
        for probe in run.probes
        if probe["probe"] == "zoneinfo"
    }
    memory = {
        probe.get("node"): probe["mem_total_bytes"]
        for probe in run.probes
        if probe["probe"] in ("meminfo", "node_meminfo")
    }
    return zones, memory
