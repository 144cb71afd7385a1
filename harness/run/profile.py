# SPDX-License-Identifier: GPL-2.0-only
"""One boot by the work clock with its instructions counted by function, of any kernel."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from harness.boot import Output
from harness.errors import BuildError, HostError, ResultsError, UserError
from harness.files import read_bytes
from harness.kernel import Kernels, kallsyms
from harness.model import Counting, Experiment, Outcome, Prebuilt, Probes, Run, Variant
from harness.parse import FIRMWARE, Choice, Profile, chosen, phase_functions, read_profile
from harness.project import Project
from harness.results import PROFILE, RUN_FILE, Results, read_run
from harness.run.loop import boot_once
from harness.run.session import prepare

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+")


@dataclass(frozen=True)
class Foreign:
    """A kernel that nobody here built."""

    prebuilt: Prebuilt

    @classmethod
    def of(cls, word: str, system_map: Path | None = None) -> Foreign:
        """What a command line names: a bzImage, or a package; raises `UserError`."""
        if system_map and not (system_map.is_file() and kallsyms.usable(system_map)):
            raise UserError("names no functions of a kernel", where=str(system_map))
        symbols = str(system_map.resolve()) if system_map else None
        if Path(word).is_file():
            return cls(Prebuilt(path=str(Path(word).resolve()), system_map=symbols))
        if "/" in word or not _PACKAGE.fullmatch(word):
            raise UserError(
                "no such file, and no name of a package",
                where=word,
                remedy="name a bzImage, or a package such as linux-image-cloud-amd64",
            )
        return cls(Prebuilt(package=word, system_map=symbols))

    @property
    def variant(self) -> Variant:
        """The same as a variant, by the name of the package or the file."""
        word = self.prebuilt.package or Path(str(self.prebuilt.path)).name
        name = re.sub(r"[^a-z0-9.]+", "-", word.lower()).strip("-.")[:64] or "kernel"
        about = "a kernel that somebody else built"
        return Variant(name=name, description=about, prebuilt=self.prebuilt)


@dataclass(frozen=True)
class ProfiledBoot:
    """A boot, and where its instructions went. `folder` is that of its evidence."""

    variant: str
    machine: str
    run: Run
    profile: Profile
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.variant}-{self.machine}"

    @property
    def kernel(self) -> Profile:
        """The profile without the firmware before the kernel."""
        return self.profile.without(FIRMWARE)

    def phase(self, name: str) -> Profile:
        """A phase, or a function and all that it calls.

        Raises `UserError` where nothing that ran has that name, with what there is.
        """
        ran = self.profile.costs
        version = self.run.kernel.base_version if self.run.kernel else ""
        phases = phase_functions(version)
        choices = phases.get(name, (Choice((name,)),))
        if found := chosen(choices, ran):
            return self.profile.below(found)
        sought = ", ".join(dict.fromkeys(each for choice in choices for each in choice.names))
        near = [each for each in sorted(ran) if name in each][:5]
        near += [n for n in difflib.get_close_matches(name, ran, 5) if n not in near]
        there = [phase for phase, choices in phases.items() if chosen(choices, ran)]
        raise UserError(
            f"{sought}: no such function ran; it never was called, or it has no symbol because the"
            " compiler put it into its caller",
            where=f"--phase {name}",
            remedy=(f"there are functions {', '.join(near[:8])}; " if near else "")
            + f"phases: {', '.join(there)}",
        )

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a reader has to know of the boot, for people."""
        said = []
        if not self.profile.whole:
            judgement = self.run.judgement
            reason = f": {judgement.reason}" if judgement.reason else ""
            said.append(
                f"the boot did not reach user space ({judgement.outcome}{reason}); this is what it"
                " executed until then"
            )
        if self.profile.lost:
            said.append(f"{self.profile.lost} calls were too deep and count for their callers")
        return tuple(said)


def profile_boot(
    project: Project,
    what: str | Foreign,
    machine: str,
    results: Results,
    *,
    base: str | None = None,
    counting: Counting | None = None,
    store: Kernels | None = None,
    on_output: Output | None = None,
) -> ProfiledBoot:
    """Boots a variant, or a kernel of others, once and reads where its instructions went.

    `counting` says what is counted in their place, and `store` where the kernel comes from, if not
    from what the project says. A boot that fails has a profile up to its end; one that `results`
    has already is not made again.
    Raises `UserError` for names that are not there, `SourceError` for a kernel whose functions have
    no names, `BuildError`, `HostError` where QEMU takes no plugin, and `ResultsError` where it left
    no profile.
    """
    if isinstance(what, Foreign):
        variant, base = what.variant, None
    else:
        variant, base = project.variant(what), project.chosen(base)
    experiment = _experiment(variant.name, project.machine(machine).name, base, counting)
    session = prepare(project, experiment, {variant.name: variant}, store=store)
    (slot,) = experiment.schedule()
    kernel = session.kernels[slot.variant]
    if isinstance(kernel, str):
        raise (UserError if session.misfits else BuildError)(kernel, where=slot.variant)
    folder = results.folder(slot)
    run = _known(folder, slot.run_id(session.lock.hash))
    if run is None:
        if results.has(slot.key):
            results.set_aside(slot)
        run = boot_once(session, results, slot, on_output=on_output)
    said = run.judgement
    if said.outcome == Outcome.START_REFUSED:
        raise HostError(said.reason or "QEMU would not start", where=machine)
    profile, fault = read_profile(read_bytes(folder / PROFILE))
    if profile is None:
        reason = f"{fault} ({said.outcome}: {said.reason})"
        raise ResultsError(reason, where=str(folder / PROFILE))
    return ProfiledBoot(slot.variant, machine, run, profile, folder)


def _experiment(
    variant: str, machine: str, base: str | None, counting: Counting | None
) -> Experiment:
    group = {"variants": [variant], "machines": [machine], "clocks": {"work": {"blocks": 1}}}
    return Experiment(
        name="profile",
        description="where the instructions of one boot go",
        baseline=variant,
        matrix=[group],
        bases=base and (base,),
        instrument="profile",
        counting=counting,
        probes=Probes(run=()),
    )


def _known(folder: Path, run_id: str) -> Run | None:
    """The record of the boot that is asked for, where there is one."""
    try:
        found = read_run(folder / RUN_FILE)
    except ResultsError:
        return None
    return found if found.run_id == run_id else None
