# SPDX-License-Identifier: GPL-2.0-only
"""The same QEMU line without the harness: sockets that are only read, and a kill at the end."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.guest.initramfs import DONE
from harness.process import bound
from harness.qemu.command import CONSOLE, MONITOR, PROBES
from harness.qemu.vm import prepare_child

DEADLINE_S = 300.0


@dataclass(frozen=True)
class Boot:
    """Seconds from the start to the guest's done-line, and to the end of QEMU."""

    done_s: float
    whole_s: float
    console: bytes


def boot(argv: Sequence[str], folder: Path, *, thp: bool) -> Boot | None:
    """Boots once in `folder`, which holds nothing else; none when the guest did not get there."""
    bind = bound(signal.SIGKILL)
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for name in (CONSOLE, PROBES):
            os.mkfifo(folder / name)
            port = os.open(folder / name, os.O_RDWR | os.O_NONBLOCK)
            stack.callback(os.close, port)
            selector.register(port, selectors.EVENT_READ, name)
        # QEMU connects to its monitor while it starts; nobody speaks to it.
        monitor = stack.enter_context(socket.socket(socket.AF_UNIX))
        monitor.bind(str(folder / MONITOR))
        monitor.listen(1)
        start = time.monotonic()
        process = stack.enter_context(
            subprocess.Popen(
                argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda: prepare_child(bind, thp),  # noqa: PLW1509
            )
        )
        try:
            heard = _listen(selector, process, start + DEADLINE_S)
            done = time.monotonic()
        finally:
            process.kill()
        process.wait()
        whole = time.monotonic()
    if DONE not in heard[PROBES]:
        return None
    return Boot(done - start, whole - start, bytes(heard[CONSOLE]))


def _listen(
    selector: selectors.BaseSelector, process: subprocess.Popen[bytes], deadline: float
) -> dict[str, bytearray]:
    """Reads both serial ports until the done-line, the end of QEMU, or the deadline."""
    heard = {CONSOLE: bytearray(), PROBES: bytearray()}
    while time.monotonic() < deadline and process.poll() is None:
        for key, _ in selector.select(1.0):
            data = os.read(key.fd, 1 << 16)
            heard[key.data] += data
            if key.data == PROBES and DONE in heard[PROBES][-len(data) - len(DONE) :]:
                return heard
    return heard
