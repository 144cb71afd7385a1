# SPDX-License-Identifier: GPL-2.0-only
"""The doctor of many hosts: asks all of them at once over SSH, and judges what they answer.

What a host says is foreign: it is limited in size, has to have the form that is expected, and
loses its control characters before anybody sees it.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from harness.errors import Failure, RemoteError, UserError
from harness.host import Diagnosis
from harness.hosts import survey
from harness.hosts.inventory import Host, Inventory
from harness.model import Accel, Model
from harness.qemu import RESERVE_OFF
from harness.ssh import Connection, Done, KnownHosts, SSHTimeouts
from harness.text import one_line
from harness.units import GIB, KIB, format_size

AT_ONCE = 64
"""Hosts that are asked at the same time: each takes two threads and some sockets."""
PYTHON = (3, 11)
NEED_DISK = 2 * GIB
"""Room for a virtual environment, some kernels and the results of a block."""
MAX_SKEW_S = 60
MAX_ANSWER = 64 * KIB


def _line(value: object) -> object:
    return one_line(value) or "" if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(max_length=200), BeforeValidator(_line)]
Bytes = Annotated[int, Field(ge=0, le=1 << 62)]
Part = Annotated[int, Field(ge=0, le=1000)]


class Survey(Model):
    """What `survey` found on a host."""

    version: int = Field(ge=1, le=1)
    host: Text
    machine: Text
    kernel: Text
    cpu: Text
    cpus: int = Field(ge=1, le=1 << 20)
    load_1min: float = Field(ge=0, allow_inf_nan=False)
    memory_bytes: Bytes
    available_bytes: Bytes
    disk_bytes: Bytes
    python: tuple[Part, Part, Part]
    venv: bool
    qemu: Text
    """what QEMU says of its version; empty where there is none"""
    kvm: Text
    """why KVM cannot be used; empty where it answers"""
    clock_s: float = Field(ge=0, allow_inf_nan=False)
    """the wall clock there, s since 1970"""


@dataclass(frozen=True)
class Examination:
    """What became of one host."""

    name: str
    checks: tuple[Diagnosis, ...]
    failure: Failure | None = None
    """why nothing could be found out"""
    survey: Survey | None = None
    took_s: float = 0.0

    @property
    def fit(self) -> bool:
        return self.failure is None and all(check.ok for check in self.checks)


def read_answer(data: bytes) -> Survey:
    """The survey in what a host printed; raises `RemoteError` where it is none.

    Login scripts may print as well: the last line that begins with the mark counts.
    """
    mark = survey.MARK.encode()
    lines = [line for line in data.split(b"\n") if line.startswith(mark)]
    if not lines:
        raise RemoteError(Failure.BAD_ANSWER, "the survey printed no result")
    try:
        found = json.loads(lines[-1][len(mark) :])
    except (ValueError, RecursionError):
        raise RemoteError(Failure.BAD_ANSWER, "the survey did not print JSON") from None
    try:
        return Survey.parse(found, "survey")
    except UserError as error:
        first = one_line(error.what.partition("\n")[0], 200) or ""
        raise RemoteError(Failure.BAD_ANSWER, f"its survey is not one: {first}") from None


def judge(host: Host, found: Survey, skew_s: float) -> tuple[Diagnosis, ...]:
    """What a host has of what it is said to lend, and of what a boot needs."""
    version = ".".join(map(str, found.python))
    return (
        _check("arch", found.machine == "x86_64", found.machine, "only x86_64 kernels are built"),
        _check(
            "python",
            found.python >= PYTHON and found.venv,
            version if found.venv else f"{version} without venv",
            "apt-get install python3-venv (3.11 or newer)",
        ),
        _check_qemu(found.qemu),
        _check_accel(host.accel, found.kvm),
        _check(
            "memory",
            found.available_bytes >= host.memory,
            f"{format_size(found.available_bytes)} free of {format_size(found.memory_bytes)}",
            f"the inventory lends {format_size(host.memory)}: free it, or lend less",
        ),
        _check(
            "cores",
            found.cpus >= host.cores,
            f"{found.cpus}, load {found.load_1min:.1f}",
            f"the inventory lends {host.cores}",
        ),
        _check(
            "disk",
            found.disk_bytes >= NEED_DISK,
            f"{format_size(found.disk_bytes)} free",
            f"make room: {format_size(NEED_DISK)} are needed",
        ),
        _check(
            "clock",
            abs(skew_s) <= MAX_SKEW_S,
            f"{skew_s:+.0f} s" if abs(skew_s) >= 1 else "right",
            "set it by NTP: its stamps would not fit those of other hosts",
        ),
    )


def _check(name: str, ok: bool, detail: str, remedy: str) -> Diagnosis:
    return Diagnosis(name, ok, detail, "" if ok else remedy)


def _check_accel(wanted: Accel, obstacle: str) -> Diagnosis:
    remedy = f"{obstacle}; mend it, or say `accel: tcg` in the inventory"
    detail = "tcg" if obstacle else "kvm answers"
    return _check("accel", wanted == "tcg" or not obstacle, detail, remedy)


def _check_qemu(said: str) -> Diagnosis:
    match = re.search(r"version (\d{1,4})\.(\d{1,4})\.(\d{1,4})", said)
    if not match:
        return Diagnosis("qemu", False, said or "none", "apt-get install qemu-system-x86")
    version = tuple(map(int, match.groups()))
    least = ".".join(map(str, RESERVE_OFF))
    return _check("qemu", version >= RESERVE_OFF, match[0][8:], f"{least} or newer is needed")


def examine(inventory: Inventory, name: str, trust: KnownHosts, limits: SSHTimeouts) -> Examination:
    """Asks one host; what goes wrong is part of the answer."""
    start = time.monotonic()
    try:
        with Connection(inventory.endpoint(name), trust, limits) as host:
            sent = time.time()
            found = _answer(
                host.run(["python3", "-I", "-"], stdin=_program(), max_bytes=MAX_ANSWER)
            )
            skew = max(sent - found.clock_s, 0) + min(time.time() - found.clock_s, 0)
        checks = judge(inventory.hosts[name], found, -skew)
        return Examination(name, checks, None, found, time.monotonic() - start)
    except RemoteError as error:
        where = f"{error.where}: " if error.where not in (name, None) else ""
        check = Diagnosis("reach", False, one_line(where + error.what) or "", error.remedy or "")
        return Examination(name, (check,), error.failure, None, time.monotonic() - start)


def _program() -> bytes:
    return resources.files("harness.hosts").joinpath("survey.py").read_bytes()


def _answer(done: Done) -> Survey:
    if done.status == 127:
        raise RemoteError(Failure.COMMAND, "has no python3", remedy="apt-get install python3-venv")
    if done.status:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise RemoteError(Failure.COMMAND, f"survey: exit status {done.status}: {said[:200]}")
    return read_answer(done.stdout)


def examine_all(
    inventory: Inventory,
    names: Sequence[str],
    trust: KnownHosts,
    limits: SSHTimeouts,
    on_done: Callable[[Examination], None] = lambda found: None,
) -> list[Examination]:
    """Asks all of them at once; a host that is silent holds up none but itself."""
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[Examination] = queue.SimpleQueue()
    for name in names:
        todo.put(name)

    def work() -> None:
        while not todo.empty():
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put(examine(inventory, name, trust, limits))
            except Exception as error:  # of one host: it must not take the others along
                check = Diagnosis("reach", False, f"{type(error).__name__}: {error}"[:200])
                done.put(Examination(name, (check,), Failure.BAD_ANSWER))

    # Daemons: looking up a name can take longer than anybody waits, and cannot be broken off.
    for _ in range(min(AT_ONCE, len(names))):
        threading.Thread(target=work, daemon=True).start()
    found = {}
    for _ in names:
        one = done.get()
        found[one.name] = one
        on_done(one)
    return [found[name] for name in names]
