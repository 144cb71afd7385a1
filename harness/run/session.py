# SPDX-License-Identifier: GPL-2.0-only
"""An experiment with all it needs at hand: kernels built, guest programs, host, lock."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness import cache, host
from harness.boot import Guest, accel
from harness.errors import BuildError, ConfigError, PatchError, UserError
from harness.guest import Initramfs, initramfs
from harness.guest import disk as image
from harness.kernel import BuiltKernel, Kernels
from harness.model import Accel, Environment, Experiment, Lockfile, Machine, Variant, definition
from harness.project import Project
from harness.qemu import Plugin
from harness.qemu import plugin as counter
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
    guest: Guest | None = None
    """A distribution that the initramfs hands over to."""
    typed: bool = False
    """Our terminal is at the console of the guest."""


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
    named = {name: known.get(name) or project.variant(name) for name in experiment.variants}
    variants = {name: fit(project, experiment, variant) for name, variant in named.items()}
    machines = {name: made.get(name) or project.machine(name) for name in experiment.machines}
    host.find_qemu()
    guest, store = _guest(project, experiment), store or Kernels(project)
    kernels, misfits = _build(store, variants)
    probes = initramfs.build(project.cache)
    environment = host.environment(_accel(project, machines, kernels, probes))
    first = initramfs.entry(project.cache) if guest else probes
    plugin = counter.build(project.cache) if experiment.counted else None
    records = {n: k if isinstance(k, str) else k.kernel for n, k in kernels.items()}
    lock = Lockfile(
        experiment=experiment,
        base=_base(store, variants),
        variants=variants,
        machines=machines,
        kernels=records,
        initramfs_sha256=first.sha256,
        plugin_sha256=plugin.sha256 if plugin else None,
        image_sha256=guest.image.sha256 if guest else None,
        program_sha256=guest.program.sha256 if guest else None,
        environment=environment,
        gate=gate_status.known(project, variants, records),
    )
    made_of = (kernels, first, environment, lock, misfits, plugin, guest)
    return Session(project, experiment, variants, machines, *made_of)


def fit(project: Project, experiment: Experiment, variant: Variant) -> Variant:
    """The variant with what the experiment's guest needs of a kernel; a prebuilt one must have it.

    Raises `UserError` where there is no such fragment.
    """
    more = experiment.guest.fragments if experiment.guest else ()
    if variant.prebuilt or not more:
        return variant
    for name in more:
        if not project.fragment(name).is_file():
            raise UserError(
                f"guest.fragments: no such file: {project.fragment(name)}", where=experiment.name
            )
    fragments = tuple(dict.fromkeys((*variant.fragments, *more)))
    return variant.model_copy(update={"fragments": fragments})


def _base(store: Kernels, variants: Mapping[str, Variant]) -> str:
    """The version that kernels are built from; nothing where none is."""
    built = any(not variant.prebuilt for variant in variants.values())
    return store.base.version if built else ""


def _guest(project: Project, experiment: Experiment) -> Guest | None:
    """The distribution, before any kernel is built for it."""
    if not (wanted := experiment.guest):
        return None
    disk = image.read(wanted.path(project.root), project.cache)
    return Guest(wanted, disk, initramfs.program(project.cache))


def _build(
    store: Kernels, variants: dict[str, Variant]
) -> tuple[dict[str, BuiltKernel | str], tuple[str, ...]]:
    """The kernel of each variant, or what is wrong with it; and whose input is wrong."""
    kernels: dict[str, BuiltKernel | str] = {}
    misfits = []
    for name, variant in variants.items():
        if definition(name) in kernels:
            kernels[name] = kernels[definition(name)]
            continue
        try:
            kernels[name] = store.get(variant)
        except (PatchError, ConfigError, BuildError) as error:
            log.warning(f"{name}: {error}")
            kernels[name] = str(error)
            if isinstance(error, UserError):
                misfits.append(name)
    return kernels, tuple(misfits)


def _accel(
    project: Project,
    machines: dict[str, Machine],
    kernels: dict[str, BuiltKernel | str],
    guest: Initramfs,
) -> Accel:
    """One accelerator for the whole experiment: two would be two populations in one dataset."""
    wanted = {machine.accel for machine in machines.values()}
    images = [kernel.image for kernel in kernels.values() if not isinstance(kernel, str)]
    if "tcg" in wanted or not images:
        return "tcg"
    asked: Accel | Literal["auto"] = "kvm" if "kvm" in wanted else "auto"
    return accel.choose(asked, images[0], guest.path, project.cache)
