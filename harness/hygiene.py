# SPDX-License-Identifier: GPL-2.0-only
"""The hygiene of series: every prefix applies, builds without new warnings, and passes checkpatch.

A series is looked at behind the series that a variant puts before it, and with that variant's
configuration. Its lines are those of ``git diff --stat`` over it alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import checkpatch, kbuild, patches, recompile
from harness.checkpatch import Complaint
from harness.errors import BuildError, ConfigError, PatchError, UserError
from harness.kernels import Kernels
from harness.model import Model
from harness.variant import Variant

RECORD = "hygiene.json"
"""The file of kernel-patches/ that keeps the last look at all series."""

LINES = "lines"
"""The metric of a claim about the size of a series."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """A series in its place: what comes before it, how it is configured, and who promised what."""

    series: str
    after: tuple[str, ...]
    fragments: tuple[str, ...]
    promises: tuple[int, ...] = ()


class Prefix(Model):
    """A series up to one of its patches. Lines are those of this patch alone."""

    patch: str
    sha256: str
    tree: str
    files: int
    added: int
    removed: int
    built: bool
    warnings: tuple[str, ...]
    complaints: tuple[Complaint, ...]


class Findings(Model):
    """What was found in one series; without `problems` it is clean, or justified."""

    series: str
    after: tuple[str, ...]
    fragments: tuple[str, ...]
    patches: int
    files: int
    added: int
    removed: int
    promise: int | None
    prefixes: tuple[Prefix, ...]
    problems: tuple[str, ...]


class Record(Model):
    """A look at series: the base and the compiler that it was taken with, and what was found."""

    base: str
    toolchain: str
    series: tuple[Findings, ...]


def subjects(variants: Iterable[Variant], names: Sequence[str] = ()) -> list[Subject]:
    """The series that variants name, each in every place that it has.

    Raises `UserError` for a name that no variant has.
    """
    places: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[int]] = {}
    for variant in variants:
        for index, series in enumerate(variant.series):
            found = places.setdefault((series, variant.series[:index], variant.fragments), [])
            if series == variant.series[-1]:
                found += [c.max_lines for c in variant.claims if c.metric == LINES and c.max_lines]
    known = dict.fromkeys(series for series, _, _ in places)
    if strange := [name for name in names if name not in known]:
        raise UserError(
            f"{', '.join(strange)}: no variant names this series",
            remedy=f"name it in a variant; there are: {', '.join(known)}",
        )
    return [
        Subject(*place, tuple(promises))
        for place, promises in places.items()
        if not names or place[0] in names
    ]


def check(kernels: Kernels, asked: Sequence[Subject], log: Progress) -> Record:
    """Looks at each series; what is known from an earlier look is not built again."""
    found = []
    for subject in asked:
        found.append(_check(kernels, subject, log))
        for problem in found[-1].problems:
            log(f"{subject.series}: {problem}")
    base = kernels.base.version
    return Record(base=base, toolchain=kbuild.toolchain(), series=tuple(found))


def _check(kernels: Kernels, subject: Subject, log: Progress) -> Findings:
    project, source = kernels.project, kernels.base
    folder = project.patches / subject.series
    before = patches.apply(source, [project.patches / name for name in subject.after])
    steps, problems = _applied(kernels, subject)
    said = checkpatch.complaints(source, patches.read_series(folder))
    known = checkpatch.answers(folder)
    prefixes, trees = [], [before.tree, *(step.tree for step in steps)]
    for number, step in enumerate(steps):
        log(f"{subject.series}: {number + 1} of {len(said)}: {step.patch.name}")
        changes = source.repository.changes(trees[number], step.tree)
        warnings, broken = _built(kernels, subject, step.tree)
        prefix = Prefix(
            patch=step.patch.name,
            sha256=digest(step.patch),
            tree=step.tree,
            files=len(changes),
            added=sum(change.added for change in changes),
            removed=sum(change.removed for change in changes),
            built=not broken,
            warnings=warnings,
            complaints=checkpatch.answered(said[number], known),
        )
        prefixes.append(prefix)
        problems += [f"{step.patch.name}: {text}" for text in (*broken, *_open(prefix))]
    used = {complaint.type for complaints in said for complaint in complaints}
    problems += [f"series: checkpatch does not say {name}" for name in known if name not in used]
    whole = source.repository.changes(trees[0], trees[-1])
    return Findings(
        **{"series": subject.series, "after": subject.after, "fragments": subject.fragments},
        patches=len(said),
        files=len(whole),
        added=sum(change.added for change in whole),
        removed=sum(change.removed for change in whole),
        promise=min(subject.promises, default=None),
        prefixes=tuple(prefixes),
        problems=tuple(problems),
    )


def _applied(kernels: Kernels, subject: Subject) -> tuple[tuple[patches.Step, ...], list[str]]:
    """The longest prefix of the series that applies, and why the next patch does not."""
    folders = [kernels.project.patches / name for name in subject.after]
    earlier = [patch for folder in folders for patch in patches.read_series(folder)]
    mine = patches.read_series(kernels.project.patches / subject.series)
    problem: list[str] = []
    for count in range(len(mine), 0, -1):
        try:
            tree = patches.apply_patches(kernels.base, [*earlier, *mine[:count]])
        except PatchError as error:
            problem = [str(error)]
            continue
        return tree.steps[len(earlier) :], problem
    return (), problem


def _built(kernels: Kernels, subject: Subject, tree: str) -> tuple[tuple[str, ...], list[str]]:
    """The new warnings of a prefix, or why it does not build."""
    project, source = kernels.project, kernels.base
    fragments = [project.fragment(name) for name in subject.fragments]
    job, base = (kbuild.plan(source, name, fragments) for name in (tree, source.tree))
    try:
        found = recompile.new_warnings(job, base, project.cache, jobs=kernels.jobs, log=kernels.log)
    except (BuildError, ConfigError) as error:
        return (), [str(error)]
    return found, []


def _open(prefix: Prefix) -> list[str]:
    """What a prefix has to answer for."""
    unanswered = [complaint for complaint in prefix.complaints if not complaint.answer]
    return [*(f"new warning: {text}" for text in prefix.warnings), *map(str, unanswered)]


def digest(patch: Path) -> str:
    """Names the text of a patch."""
    return hashlib.sha256(patch.read_bytes()).hexdigest()[:16]
