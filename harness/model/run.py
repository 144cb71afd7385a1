# SPDX-License-Identifier: GPL-2.0-only
"""What one boot leaves behind: the Run record and its parts.

History of the schema:
  1  first form
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from harness.model.schema import Model

SCHEMA_VERSION = 1

Clock = Literal["time", "work"]
"""The clock of a run: seconds, or guest instructions counted by ``-icount``."""

Source = Literal["mark", "printk", "host", "profile"]
"""Where a phase was read: TSC marks, printk stamps, arrival on the host, or counts of functions."""

Instrument = Literal["marks", "profile", "both"]
"""What tells the phases of a boot by the work clock: marks of the kernel, or QEMU by functions."""

Event = Literal["instructions", "stores", "misses"]
"""What a profile counts."""


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
    SMALLER = "smaller"


STOOD_STILL = "the harness stood still for"
"""How the reason of a boot begins whose harness was stopped meanwhile."""

GOOD = frozenset({Outcome.OK, Outcome.WARNING})
"""Outcomes of boots that reached the end of their probes; only these enter figures."""

HOST_FAULT = frozenset({Outcome.START_REFUSED, Outcome.NO_OUTPUT, Outcome.KILLED})
"""Outcomes that are the host's doing until somebody has looked: a start refused, QEMU shot."""


class Phase(Model):
    """An interval of the boot. Phases of different nodes overlap: never sum them.

    `start` and `end` are seconds since `start_kernel` for marks (time clock), printk seconds, or
    seconds since QEMU's launch for the host; in a run of the work clock marks and profiles are in
    instructions.
    `host_start_s` and `host_end_s` are the same interval on the host's clock, seconds since the
    launch, where it is known (marks of the time clock): it aligns phases with host samples.
    """

    name: str
    """the phase; docs/measuring.md lists them"""
    node: int | None = None
    """NUMA node; absent for a phase of the whole machine"""
    source: Source
    """where it was read"""
    start: float
    """begin; s, or instructions for marks of a work-clock run"""
    end: float
    """end, same unit and origin"""
    busy: float | None = None
    """sum over the calls, same unit"""
    calls: int | None = None
    """how often the phase was entered"""
    pages: int | None = None
    """pages handled"""
    idle: float | None = None
    """what the work clock moved meanwhile while no CPU had anything to do, in instructions that it
    would have taken; no part of the interval then, nor of what comes before `start`"""
    host_start_s: float | None = None
    """begin on the host's clock, s since the launch of QEMU; for marks on the time clock only"""
    host_end_s: float | None = None
    """end on the host's clock"""

    @property
    def duration(self) -> float:
        return self.end - self.start


class StoreCount(Model):
    """Stores into the memmap during a phase, of one node's CPUs, memory and pages.

    `memory_node` is where the struct page lies, `page_node` where the page it describes lies;
    none is memory outside every node.
    """

    phase: str
    """the phase, without those inside of it; `user_space` is all after the boot"""
    node: int | None = None
    """node of the phase; absent for a phase of the whole machine"""
    cpu_node: int
    """node of the CPU that stored"""
    memory_node: int | None = None
    """node of the memory stored to"""
    page_node: int | None = None
    """node of the pages that the struct pages describe"""
    stores: int
    """how many"""
    bytes: int
    """bytes stored"""


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
        "no-visit",  # a guest that is an image did not let us in, or not to the end
        "start-refused",  # QEMU would not start, or the prediction said that it cannot fit
        "build-failed",
    ]
    """what happened first"""
    detail: str = ""
    """QEMU's last words, where the vCPUs were, or why the start was refused"""
    exit_code: int | None = None
    """exit status of QEMU, where it ended by itself"""
    signal: str | None = None
    """signal that ended QEMU, unless the harness sent it"""
    wall_s: float = 0.0
    """from launch to end on the host's monotonic clock"""
    unwatched_s: float | None = None
    """longest time for which the harness itself did not run, as after SIGSTOP; where it matters"""
    registers: str | None = None
    """registers of every vCPU of a boot that was given up"""
    where: str | None = None
    """their instruction pointers as symbol+offset"""


class Judgement(Model):
    """The outcome of a boot with what led to it. `excerpt` is guest text: escape it."""

    outcome: Outcome
    """docs/troubleshooting.md explains each"""
    reason: str = ""
    """the line or fact that decided; may be guest text"""
    emulator_defect: str | None = None
    """why the outcome is QEMU's doing and says nothing of the kernel"""
    last_phase: str | None = None
    """the last phase reached"""
    last_stamp_s: float | None = None
    """last stamp of printk; absent while all of them are zero"""
    excerpt: tuple[str, ...] = ()
    """console lines around the trouble; guest text"""


class HostSample(Model):
    """The QEMU process at one moment: resident bytes, page faults and CPU seconds so far."""

    host_s: float
    """since the launch"""
    rss_bytes: int
    """resident size of QEMU"""
    minor_faults: int
    """page faults so far, without I/O"""
    major_faults: int
    """page faults so far, with I/O"""
    user_s: float
    """CPU time so far, user mode"""
    system_s: float
    """CPU time so far, kernel mode"""


class Kernel(Model):
    """The kernel that booted. `kernel_id` names tree, `.config` and toolchain together."""

    kernel_id: str
    """hash of tree, fragments, toolchain and KBUILD_* values; of a prebuilt one, of its bytes"""
    base_version: str
    """version of the base source, as its provider names it"""
    tree: str | None = None
    """git tree id of the patched source; absent for a prebuilt kernel"""
    config_sha256: str | None = None
    """hash of the final `.config`"""
    image_sha256: str
    """hash of the bzImage"""
    toolchain: str | None = None
    """first line that compiler and linker say of their version, and what was chosen"""
    build_warnings: int | None = None
    """compiler and modpost warnings of the build"""


class Neighbours(Model):
    """What the host's CPUs did during a boot beside QEMU: CPU seconds of all of them together."""

    others_s: float
    """other processes, the harness among them"""
    steal_s: float
    """what the hypervisor below a host that is virtual gave to others meanwhile"""


class Login(Model):
    """The way into a guest that is the image of a distribution. `server` is guest text."""

    host_key: str
    """kind and fingerprint of the host key that it showed first, and then had to show again"""
    server: str
    """what its SSH server calls itself"""
    login_s: float
    """the first login, since the launch"""


class Environment(Model):
    """What the numbers depend on beside the kernel and the machine."""

    host: str
    """name of the host"""
    host_cpu: str
    """its CPU model"""
    host_cpus: int
    """its CPUs"""
    host_memory_bytes: int
    """its RAM"""
    host_kernel: str
    """its kernel release"""
    qemu_version: str
    """version of QEMU"""
    accel: Literal["kvm", "tcg"]
    """accelerator that really ran"""
    thp: bool
    """whether QEMU was allowed transparent huge pages"""
    tsc_khz: int | None = None
    """TSC rate of the host, where it can be told"""
    slowdown: float | None = None
    """how much slower than on hardware the probe boot was: limits under KVM are so much longer"""
    load_1min: float | None = None
    """load average when the experiment started"""
    harness_version: str
    """version of the harness"""


class Run(Model):
    """run.json: written once, when the boot is over, and never changed."""

    schema_version: Literal[1] = 1
    """version of this layout"""
    run_id: str
    """hash of the lock and the cell's block"""
    attempt: int = 1
    """1, or more after attempts that were interrupted or set aside"""
    variant: str
    """name of the variant"""
    machine: str
    """name of the machine"""
    clock: Clock
    """the clock of the cell"""
    block: int
    """block of the design; negative for a warm-up"""
    work_shift: int = Field(default=0, ge=0, le=63)
    """shift of the work clock"""
    warmup: bool = False
    """kept but not analysed"""
    order: int = 0
    """position within its block"""
    instrument: Instrument = Field(default="marks", exclude_if=lambda value: value == "marks")
    """what told the phases: `marks`, `profile` (docs/profile.md), or `both`"""
    started_utc: str
    """start of the boot"""
    kernel: Kernel | None = None
    """the kernel; absent where it did not build"""
    environment: Environment
    """the host, QEMU and accelerator"""
    argv: tuple[str, ...] = ()
    """the command line of QEMU"""
    command_line: str = ""
    """the command line of the kernel"""
    ending: Ending
    """what the host saw"""
    judgement: Judgement
    """what it means"""
    phases: tuple[Phase, ...] = ()
    """intervals of the boot"""
    probes: tuple[dict[str, Any], ...] = ()
    """JSON objects that the guest sent on its second serial port"""
    stores: tuple[StoreCount, ...] = ()
    """stores into the memmap, where they were counted"""
    samples: tuple[HostSample, ...] = Field(default=())
    """the QEMU process over the boot, at most 256"""
    neighbours: Neighbours | None = None
    """who else had the host's CPUs"""
    visit: Login | None = None
    """the way into a guest that is an image"""
    first_result_s: float | None = None
    """when the first byte came on the results port, s since the launch: user space runs"""
