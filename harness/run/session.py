# SPDX-License-Identifier: GPL-2.0-only
"""An experiment with all it needs at hand: kernels built, guest programs, host, lock."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from harness import cache, host
from harness.boot import Guest, accel
from harness.errors import BuildError, ConfigError, PatchError, UserError
from harness.guest import Initramfs, initramfs
from harness.guest import disk as image
from harness.kernel import BuiltKernel, Kernels, SystemMap, kallsyms, kconfig
from harness.model import (
    COUNTED,
    Accel,
    Arch,
    Clock,
    Environment,
    Experiment,
    Lockfile,
    Machine,
    Variant,
    base_of,
    definition,
    first_arm,
)
from harness.parse import nameless
from harness.project import Project
from harness.qemu import Plugin
from harness.qemu import plugin as plugins
from harness.qemu.command import kernel_words
from harness.run import gate_status

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """An experiment with all it needs at hand: kernels, initramfs, host, lock."""

    project: Project
    experiment: Experiment
    variants: dict[str, Variant]
    machines: dict[str, Machine]
    kernels: dict[str, BuiltKernel | str]
    initramfs: Initramfs
    environment: Environment
    lock: Lockfile = field(repr=False)
    misfits: tuple[str, ...] = ()
    """Variants whose input is wrong: a patch that does not apply, an option that was dropped."""
    plugin: Plugin | None = None
    """What counts stores, where the experiment has any counted."""
    idle: Plugin | None = None
    """What tells idle from work, where anything boots by the work clock."""
    guest: Guest | None = None
    """A distribution that the initramfs hands over to."""
    typed: bool = False
    """Our terminal is at the console of the guest."""
    profile: Plugin | None = None
    """What counts instructions by function, where the experiment asks for it."""


def prepare(
    project: Project,
    experiment: Experiment,
    derived: Mapping[str, Variant] | None = None,
    machines: Mapping[str, Machine] | None = None,
    *,
    store: Kernels | None = None,
) -> Session:
    """Builds kernels and guest programs and looks at the host.

    `derived` and `machines` are those without a file of their own; `store` is where kernels come
    from, if not from what the project says. A variant that does not apply, configure or compile is
    kept with its error, and its boots become rows with the outcome `build-failed`.
    """
    cache.claim(project.cache)
    known, made = derived or {}, machines or {}
    store = store or Kernels(project)
    stores = {base: store.at(base) for base in map(base_of, experiment.variants)}
    variants = {}
    for name in experiment.variants:
        variant = known.get(definition(name)) or project.variant(name)
        variants[name] = fit(stores[base_of(name)], experiment, variant)
    machines = {name: made.get(name) or project.machine(name) for name in experiment.machines}
    arch = _arch(project, machines, stores, variants)
    host.find_qemu(arch)
    guest = _guest(project, experiment)
    kernels, misfits = _build(stores, variants)
    if experiment.profiled:
        kernels = _named(project, experiment, kernels)
    probes = initramfs.build(project.cache, arch)
    timed, slowdown = _accel(project, machines, kernels, probes)
    environment = host.environment(timed, arch, slowdown)
    first = initramfs.entry(project.cache) if guest else probes
    plugin = plugins.build(project.cache, "stores") if experiment.counted else None
    idle = plugins.build(project.cache, "idle") if "work" in experiment.clocks else None
    profile = plugins.build(project.cache, "profile") if experiment.profiled else None
    records = {n: k if isinstance(k, str) else k.kernel for n, k in kernels.items()}
    lock = Lockfile(
        experiment=experiment,
        **_bases(stores, variants),
        variants=variants,
        machines=machines,
        kernels=records,
        initramfs_sha256=first.sha256,
        plugin_sha256=plugin.sha256 if plugin else None,
        image_sha256=guest.image.sha256 if guest else None,
        program_sha256=guest.program.sha256 if guest else None,
        idle_sha256=idle.sha256 if idle else None,
        profile_sha256=profile.sha256 if profile else None,
        words=_words(experiment, kernels, environment.accel, arch),
        environment=environment,
        gate=gate_status.known(project, variants, records),
    )
    made_of = (kernels, first, environment, lock, misfits, plugin, idle, guest)
    return Session(project, experiment, variants, machines, *made_of, profile=profile)


def _arch(
    project: Project,
    machines: Mapping[str, Machine],
    stores: Mapping[str | None, Kernels],
    variants: Mapping[str, Variant],
) -> Arch:
    """What all machines and all kernels are made for: two would be two populations in one dataset.

    Raises `UserError` where they are not one, with the bases that fit.
    """
    (first, machine), *others = machines.items()
    for name, other in others:
        if other.arch != machine.arch:
            raise UserError(
                f"machines of two architectures: {first} is {machine.arch}, {name} {other.arch}",
                where="machines",
                remedy="write an experiment for each",
            )
    for name, variant in variants.items():
        base = None if variant.prebuilt else stores[base_of(name)].asked
        arch = stores[base_of(name)].arch(variant)
        if arch.name != machine.arch:
            of = f"base {base.name} makes kernels" if base else f"{name} is a kernel"
            there = map(project.base, project.bases)
            fit = ", ".join(each.name for each in there if each.arch.name == machine.arch)
            raise UserError(
                f"{of} of {arch.name}, {first} is {machine.arch}",
                where=f"machine {first}",
                remedy=f"name a base of {machine.arch} (--base, bases:): {fit or 'none'}"
                if base
                else f"name a machine with `arch: {arch.name}`",
            )
    return machine.architecture


def _words(
    experiment: Experiment, kernels: Mapping[str, BuiltKernel | str], timed: Accel, arch: Arch
) -> dict[str, dict[Clock, str]]:
    """What the harness gives to each kernel on each clock, the host's TSC rate left out."""

    def given(kernel: BuiltKernel, clock: Clock) -> str:
        hz = kconfig.hz(kconfig.read(kernel.config))
        return " ".join(kernel_words(clock, "tcg" if clock == "work" else timed, None, hz, arch))

    return {
        name: {clock: given(kernel, clock) for clock in experiment.clocks}
        for name, kernel in kernels.items()
        if not isinstance(kernel, str)
    }


def fit(store: Kernels, experiment: Experiment, variant: Variant) -> Variant:
    """The variant with what the experiment's guest needs of a kernel; a prebuilt one must have it.

    Raises `UserError` where the base has no such fragment, or a series was not ported to it.
    """
    if variant.prebuilt:
        return variant
    more = experiment.guest.fragments if experiment.guest else ()
    fragments = tuple(dict.fromkeys((*variant.fragments, *more)))
    store.project.series(variant, store.asked)
    store.project.fragments(fragments, store.asked)
    return variant.model_copy(update={"fragments": fragments})


def _bases(stores: Mapping[str | None, Kernels], variants: Mapping[str, Variant]) -> dict[str, Any]:
    """The versions that kernels are built from; nothing where none is."""
    built = dict.fromkeys(base_of(n) for n, variant in variants.items() if not variant.prebuilt)
    versions = {base: stores[base].base.version for base in built}
    named = {base: version for base, version in versions.items() if base}
    return {"base": ", ".join(versions.values()), "bases": named or None}


def _guest(project: Project, experiment: Experiment) -> Guest | None:
    """The distribution, before any kernel is built for it."""
    if not (wanted := experiment.guest):
        return None
    disk = image.read(wanted.path(project.root), project.cache)
    return Guest(wanted, disk, initramfs.program(project.cache))


def _build(
    stores: Mapping[str | None, Kernels], variants: dict[str, Variant]
) -> tuple[dict[str, BuiltKernel | str], tuple[str, ...]]:
    """The kernel of each variant, or what is wrong with it; and whose input is wrong."""
    kernels: dict[str, BuiltKernel | str] = {}
    misfits = []
    for name, variant in variants.items():
        if first_arm(name) in kernels:
            kernels[name] = kernels[first_arm(name)]
            continue
        try:
            kernels[name] = stores[base_of(name)].get(variant)
        except (PatchError, ConfigError, BuildError) as error:
            log.warning(f"{name}: {error}")
            kernels[name] = str(error)
            if isinstance(error, UserError):
                misfits.append(name)
    return kernels, tuple(misfits)


def _named(
    project: Project, experiment: Experiment, kernels: Mapping[str, BuiltKernel | str]
) -> dict[str, BuiltKernel | str]:
    """Kernels with a System.map where their functions are to be told apart.

    Says of which phases they have no symbol. Raises `SourceError` for a kernel without kallsyms
    whose System.map nobody named, and `HostError` where nothing here finds them.
    """
    profiled = dict.fromkeys(
        slot.variant
        for slot in experiment.schedule()
        if experiment.instrument_of(*slot.cell) in COUNTED
    )
    found = dict(kernels)
    for name in profiled:
        kernel = kernels[name]
        if isinstance(kernel, str):
            continue
        known = kernel.system_map or kallsyms.system_map(kernel.image, project.cache)
        found[name] = replace(kernel, system_map=known.resolve())
        symbols = SystemMap.read(known.read_text(encoding="ascii", errors="replace")).functions
        for phase, choices in nameless(kernel.kernel.base_version, symbols).items():
            sought = ", ".join(map(str, choices))
            near = sorted(each for each in symbols if phase in each)[:5]
            there = f"; there is {', '.join(near)}" if near else ""
            log.warning(f"{name}: no symbol of phase {phase}, which is left out: {sought}{there}")
    return found


def _accel(
    project: Project,
    machines: dict[str, Machine],
    kernels: dict[str, BuiltKernel | str],
    guest: Initramfs,
) -> tuple[Accel, float | None]:
    """One accelerator for the whole experiment: two would be two populations in one dataset.

    With it how much slower than on hardware KVM is here, where that was measured.
    """
    wanted = {m.accel if m.architecture.native else "tcg" for m in machines.values()}
    images = [kernel.image for kernel in kernels.values() if not isinstance(kernel, str)]
    if "tcg" in wanted or not images:
        return "tcg", None
    asked: Accel | Literal["auto"] = "kvm" if "kvm" in wanted else "auto"
    return accel.choose(asked, images[0], guest.path, project.cache)
