# SPDX-License-Identifier: GPL-2.0-only
"""What one boot leaves behind: the Run record and its parts.

History of the schema:
  1  first form
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from harness.model import Model

SCHEMA_VERSION = 1

Clock = Literal["time", "work"]
"""The clock of a run: seconds, or guest instructions counted by ``-icount``."""

Source = Literal["mark", "printk", "host"]
"""Where a phase was read: TSC marks, printk stamps, or arrival on the host."""


class Outcome(StrEnum):
    """How a boot ended. Everything but `OK` is a row of the dataset too."""

    OK = "ok"
    BUILD_FAILED = "build-failed"
    START_REFUSED = "start-refused"
    NO_OUTPUT = "no-output"
    STALLED = "stalled"
    DEADLINE = "deadline"
    PANIC = "panic"
    OOPS = "oops"
    BAD_PAGE = "bad-page"
    WARNING = "warning"
    REBOOT_LOOP = "reboot-loop"
    KILLED = "killed"
    INCOMPLETE = "incomplete"


class Phase(Model):
    """An interval of the boot. Phases of different nodes overlap: never sum them.

    `start` and `end` are seconds since `start_kernel` for marks (time clock), printk seconds, or
    seconds since QEMU's launch for the host; in a run of the work clock marks are in instructions.
    `host_start_s` and `host_end_s` are the same interval on the host's clock, seconds since the
    launch, where it is known (marks of the time clock): it aligns phases with host samples.
    """

    name: str
    node: int | None = None
    source: Source
    start: float
    end: float
    busy: float | None = None
    calls: int | None = None
    pages: int | None = None
    host_start_s: float | None = None
    host_end_s: float | None = None

    @property
    def duration(self) -> float:
        return self.end - self.start


class Ending(Model):
    """What the host saw of the end of a boot, before anyone reads the console."""

    cause: Literal[
        "done",  # the guest's last probe said so
        "guest-shutdown",  # powered off
        "guest-reset",  # reset itself: a panic with panic=-1, or a triple fault
        "exited",  # QEMU ended without an event
        "failure",  # the console showed a panic or an oops that ends the boot
        "no-output",  # silence from the start
        "no-progress",  # output stopped, or repeats itself
        "deadline",
        "start-refused",  # QEMU would not start, or the prediction said that it cannot fit
        "build-failed",
    ]
    detail: str = ""
    exit_code: int | None = None
    signal: str | None = None
    wall_s: float = 0.0
    registers: str | None = None
    where: str | None = None


class Judgement(Model):
    """The outcome of a boot with what led to it. `excerpt` is guest text: escape it.

    `emulator_defect` tells why the outcome is QEMU's doing and says nothing of the kernel.
    """

    outcome: Outcome
    reason: str = ""
    emulator_defect: str | None = None
    last_phase: str | None = None
    last_stamp_s: float | None = None
    excerpt: tuple[str, ...] = ()


class HostSample(Model):
    """The QEMU process at one moment: resident bytes, page faults and CPU seconds so far."""

    host_s: float
    rss_bytes: int
    minor_faults: int
    major_faults: int
    user_s: float
    system_s: float


class Kernel(Model):
    """The kernel that booted. `kernel_id` names tree, `.config` and toolchain together."""

    kernel_id: str
    base_version: str
    tree: str | None = None
    config_sha256: str | None = None
    image_sha256: str
    toolchain: str | None = None
    build_warnings: int | None = None


class Environment(Model):
    """What the numbers depend on beside the kernel and the machine."""

    host: str
    host_cpu: str
    host_cpus: int
    host_memory_bytes: int
    host_kernel: str
    qemu_version: str
    accel: Literal["kvm", "tcg"]
    thp: bool
    tsc_khz: int | None = None
    load_1min: float | None = None
    harness_version: str


class Run(Model):
    """run.json: written once, when the boot is over, and never changed."""

    schema_version: Literal[1] = 1
    run_id: str
    attempt: int = 1
    variant: str
    machine: str
    clock: Clock
    block: int
    work_shift: int = 0
    warmup: bool = False
    order: int = 0
    started_utc: str
    kernel: Kernel | None = None
    environment: Environment
    argv: tuple[str, ...] = ()
    command_line: str = ""
    ending: Ending
    judgement: Judgement
    phases: tuple[Phase, ...] = ()
    probes: tuple[dict[str, Any], ...] = ()
    samples: tuple[HostSample, ...] = Field(default=())
