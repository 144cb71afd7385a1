# SPDX-License-Identifier: GPL-2.0-only
"""Every column of every CSV: order, type, unit and meaning, stated here and nowhere else.

The CSV writer, the loader and the data dictionary in ``datapackage.json`` all read these tables.
An empty field means "not observed"; it never means 0. Figures of the time clock and of the work
clock stand in different columns: `*_s` and `*_ns` against `*instructions*`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Type = Literal["string", "integer", "number", "boolean"]

DTYPES: dict[Type, Any] = {
    "string": "string",
    "integer": "Int64",
    "number": "Float64",
    "boolean": "boolean",
}
"""The pandas type of each; all of them can hold "not observed"."""


@dataclass(frozen=True)
class Column:
    """One column of a CSV. `unit` is None where a value has none, as a name or a count has none."""

    name: str
    type: Type
    description: str
    unit: str | None = None


def _s(name: str, description: str) -> Column:
    return Column(name, "string", description)


def _i(name: str, description: str, unit: str | None = None) -> Column:
    return Column(name, "integer", description, unit)


def _n(name: str, description: str, unit: str | None = None) -> Column:
    return Column(name, "number", description, unit)


def _b(name: str, description: str) -> Column:
    return Column(name, "boolean", description)


_CELL = (
    _s("variant", "kernel under test; its definition is in experiment.lock.yaml"),
    _s("machine", "emulated machine; its definition is in experiment.lock.yaml"),
    _s("clock", "time: seconds under emulation; work: guest instructions counted by -icount"),
)

_GATED = _s(
    "gate",
    "what the correctness gate said of this kernel: green, failed, or none where it has not been"
    " through it",
)

_IDENTITY = (
    _s("run_id", "identity of the boot: hash of the locked experiment and the cell's block"),
    *_CELL,
    _i("block", "block of the randomised design; negative for a warm-up"),
    _b("warmup", "a boot that is kept but not analysed"),
    _s("outcome", "how the boot ended; only ok and warning enter medians"),
)

RUNS = (
    *_IDENTITY,
    _s("reason", "why the outcome is what it is; control characters replaced"),
    _s("last_phase", "last phase the boot reached"),
    _n("last_stamp_s", "printk stamp of the last line (virtual on the work clock)", "s"),
    _s("ending", "what the host saw of the end, before anyone read the console"),
    _i("exit_code", "exit status of QEMU"),
    _s("signal", "signal that ended QEMU"),
    _n("wall_s", "the boot on the host's own clock, from launch to end", "s"),
    _i("order", "position of the boot within its block"),
    _i("attempt", "1, or more where an earlier attempt was interrupted or set aside; all are kept"),
    _s("started_utc", "start of the boot, UTC"),
    _i("memory_bytes", "guest RAM over all nodes", "B"),
    _i("memmap_bytes", "struct pages that describe the guest RAM", "B"),
    _i("nodes", "NUMA nodes of the guest"),
    _i("cpus", "CPUs of the guest"),
    _i("host_rss_peak_bytes", "largest resident size of QEMU seen by the sampler", "B"),
    _i("host_rss_end_bytes", "resident size of QEMU in its last sample", "B"),
    _i("host_minor_faults", "minor page faults of QEMU up to its last sample"),
    _i("host_major_faults", "major page faults of QEMU up to its last sample"),
    _n("host_user_s", "CPU time of QEMU in user mode", "s"),
    _n("host_system_s", "CPU time of QEMU in the host's kernel", "s"),
    _n("host_others_s", "CPU time of everything but QEMU meanwhile, harness included", "s"),
    _n("host_steal_s", "CPU time that a hypervisor below the host gave to others meanwhile", "s"),
    _s("accel", "accelerator that really ran"),
    _s("host", "name of the host"),
    _s("host_cpu", "CPU model of the host"),
    _i("host_cpus", "CPUs of the host"),
    _i("host_memory_bytes", "RAM of the host", "B"),
    _s("host_kernel", "kernel release of the host"),
    _s("qemu_version", "version of QEMU"),
    _b("host_thp", "transparent huge pages allowed for QEMU"),
    _i("tsc_khz", "TSC rate given to the guest", "kHz"),
    _n("load_1min", "load average of the host at the start"),
    _s("harness_version", "version of the harness that ran the boot"),
    _s("kernel_id", "names source tree, .config and toolchain together"),
    _s("base_version", "kernel version the series are based on"),
    _s("tree", "git tree id of the patched source"),
    _s("config_sha256", "hash of the final .config"),
    _s("image_sha256", "hash of the kernel image"),
    _s("toolchain", "compiler and linker"),
    _i("build_warnings", "new compiler warnings of the build"),
    _s("evidence", "folder of the boot's raw evidence, relative to this file"),
    _GATED,
)

PHASES = (
    *_IDENTITY,
    _s("phase", "name of the interval; intervals of different nodes overlap: never sum them"),
    _i("node", "NUMA node; empty for a phase of the whole machine"),
    _s(
        "source",
        "mark: TSC marks; printk: printk stamps; host: arrival on the host; profile: counts of"
        " functions",
    ),
    _i("calls", "times the phase was entered"),
    _i("pages", "pages handled", "page"),
    _n("start_s", "time clock: start, since start_kernel (mark) or launch (host)", "s"),
    _n("end_s", "time clock: end, same origin as start_s", "s"),
    _n("duration_s", "time clock: end - start; emulated unless accel is kvm", "s"),
    _n("busy_s", "time clock: sum over the calls of the phase", "s"),
    _n(
        "ns_per_page", "time clock: busy_s over pages, or duration_s where that is empty", "ns/page"
    ),
    _i("start_instructions", "work clock: start, since start_kernel", "instruction"),
    _i("end_instructions", "work clock: end, since start_kernel", "instruction"),
    _i(
        "instructions",
        "work clock: end - start, executed by all CPUs; with what was idle where idle is empty",
        "instruction",
    ),
    _i("busy_instructions", "work clock: sum over the calls of the phase", "instruction"),
    _n("instructions_per_page", "work clock: busy_instructions over pages", "instruction/page"),
    _n("host_start_s", "time clock: start on the host's clock, since the launch of QEMU", "s"),
    _n("host_end_s", "time clock: end on the host's clock, since the launch of QEMU", "s"),
    _i(
        "host_rss_grown_bytes",
        "time clock: growth of QEMU's RSS meanwhile, from samples around",
        "B",
    ),
    _i(
        "idle",
        "work clock: what it moved meanwhile while no CPU had anything to do, in instructions that"
        " it would have taken; in none of the other columns",
        "instruction",
    ),
)

PROBES = (
    *_IDENTITY,
    _s("probe", "program that ran in the guest"),
    _s(
        "name", "the fact where a row holds one; touch: first-touch, retouch-mapped, touch-recycled"
    ),
    _i("node", "NUMA node"),
    _s("zone", "memory zone"),
    _i("pass", "touch: 1 first after the boot, 2 the same pages again, 3 memory given back before"),
    _i("threads", "threads that worked together; such a row sums up the pass"),
    _i("thread", "thread, where a row is about one"),
    _i("cpu", "CPU the thread ran on"),
    _i("memory_bytes", "meminfo: size of `name`; touch: memory touched", "B"),
    _i("free_pages", "zoneinfo: free", "page"),
    _i("managed_pages", "zoneinfo: managed by the buddy allocator", "page"),
    _i("present_pages", "zoneinfo: present", "page"),
    _i("spanned_pages", "zoneinfo: spanned, holes included", "page"),
    _i("touched_pages", "touch: pages touched", "page"),
    _i("duration_ns", "time clock, touch: duration", "ns"),
    _n("ns_per_page", "time clock, touch: duration over pages", "ns/page"),
    _i("instructions", "work clock, touch: instructions of the guest meanwhile", "instruction"),
    _n("instructions_per_page", "work clock, touch: instructions over pages", "instruction/page"),
    _n("value", "any other number, in the unit that `name` says"),
    _s("text", "any other text; control characters replaced"),
)

SUMMARY = (
    *_CELL,
    _i("memory_bytes", "guest RAM over all nodes", "B"),
    _s("kind", "boots, phase, probe or host"),
    _s("name", "phase, probe or other subject"),
    _s("node", "empty: whole machine; max: slowest node; span: first start to last end of all"),
    _s("source", "for a phase: mark, profile, printk or host"),
    _s("metric", "what median, min, max and mad are: a column of phases.csv, probes.csv, runs.csv"),
    _i("runs", "boots of the cell, warm-ups left out"),
    _i("failed", "boots of the cell that ended neither ok nor in a warning"),
    _i("n", "boots that went into the figures"),
    _n("median", "median, in the unit of `metric`"),
    _n("min", "smallest, in the unit of `metric`"),
    _n("max", "largest, in the unit of `metric`"),
    _n("mad", "median absolute deviation from the median, in the unit of `metric`"),
    _n("ratio", "median over the baseline's median on the same machine and clock"),
    _n("ratio_low", "lower end of the 95 % bootstrap interval of ratio; needs 6 boots each"),
    _n("ratio_high", "upper end of it"),
    _GATED,
)

GATE = (
    _s("run_id", "identity of the boot that the check is about"),
    _s("variant", "kernel under test"),
    _s("machine", "emulated machine"),
    _s("build", "measured: the kernel that is measured; debug: the same with a poisoned memmap"),
    _s("check", "what had to be proved (docs/gate.md)"),
    _s("result", "pass, fail or skip; what a boot did not report has failed"),
    _s("detail", "what was seen; control characters replaced"),
)

LIMITS = (
    _s("variant", "kernel under test"),
    _i("boots", "boots that the search took", None),
    _i("max_bootable_bytes", "RAM of the largest machine that came to user space", "B"),
    _s("run_id", "identity of that boot"),
    _i("host_rss_peak_bytes", "largest resident size of QEMU during it", "B"),
    _n("wall_s", "that boot on the host's own clock, from launch to end", "s"),
    _i("next_bytes", "RAM of the smallest larger machine that did not", "B"),
    _s("next_run_id", "identity of that boot"),
    _s("next_outcome", "how that boot ended"),
    _s("next_reason", "why; control characters replaced"),
    _GATED,
)

STORES = (
    *_IDENTITY,
    _s("phase", "phase of the boot, without those inside of it; user_space: all after the boot"),
    _i("node", "NUMA node of the phase; empty for a phase of the whole machine"),
    _i("cpu_node", "NUMA node of the CPU that stored"),
    _i("memory_node", "NUMA node of the memory that was stored to, where the struct page lies"),
    _i("page_node", "NUMA node of the page that the struct page describes"),
    _i("stores", "stores into the memmap, counted by a plugin of QEMU (docs/locality.md)"),
    _i("bytes", "bytes stored by them", "B"),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "runs": RUNS,
    "phases": PHASES,
    "probes": PROBES,
    "summary": SUMMARY,
    "gate": GATE,
    "limits": LIMITS,
    "stores": STORES,
}
"""File stem to columns, in the order of the data package."""

OPTIONAL = frozenset({"gate", "limits", "stores"})
"""Tables that have no file where they have no row."""
LATER = frozenset({"idle"})
"""Columns that came after datasets were published: not in the file where no row has a value."""

KEYS: dict[str, tuple[str, ...]] = {
    "runs": ("run_id", "attempt"),
    "limits": ("variant",),
}
"""Columns that name a row and are never empty; rows of other tables have none, since a phase of the
whole machine has no node."""

RUN_ID = frozenset({"phases", "probes", "gate", "limits", "stores"})
"""Tables whose `run_id` is one of runs.csv."""

TITLES = {
    "runs": "One row per boot, failed boots included",
    "phases": "One row per phase of a boot and node",
    "probes": "One row per observation of a program in the guest",
    "summary": "Medians and spread per variant, machine, clock and metric",
    "limits": "One row per variant: the largest machine that it boots on this host",
    "gate": "One row per check of the correctness gate, variant and build",
    "stores": "Stores into the memmap per phase and nodes of CPU, memory and page",
}
