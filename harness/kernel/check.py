# SPDX-License-Identifier: GPL-2.0-only
"""The hygiene of series: every prefix applies, builds without new warnings, and passes checkpatch.

A series is looked at behind the series that a variant puts before it, and with that variant's
configuration. Its lines are those of ``git diff --stat`` over it alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import process
from harness.errors import BuildError, ConfigError, PatchError, SourceError, UserError
from harness.files import disk_errors, locked, scratch, write_atomic
from harness.kernel import build, patches
from harness.kernel.build import Build
from harness.kernel.mail import Mail, read
from harness.kernel.patches import SERIES_FILE
from harness.kernel.source import Source
from harness.kernel.store import Kernels
from harness.model import Base, Model, Role, Variant
from harness.project import Project

SCRIPTS = ("checkpatch.pl", "spelling.txt", "const_structs.checkpatch")

# The base is a tree without a history, in which every commit id is unknown.
OPTIONS = (
    *("--no-tree", "--root=.", "--strict", "--no-signoff", "--terse", "--show-types"),
    *("--no-summary", "--ignore=UNKNOWN_COMMIT_ID"),
)

_LINE = re.compile(r".*?:(\d+): (ERROR|WARNING|CHECK):([A-Z0-9_]+): (.*)")
_ANSWER = re.compile(r"#\s*checkpatch:\s*([A-Z0-9_]+)\s+(\S.*)")


class Complaint(Model):
    """What checkpatch says of a patch; `answer` is why it stands all the same, by the series."""

    line: int
    level: str
    type: str
    text: str
    answer: str | None = None

    def __str__(self) -> str:
        return f"{self.level}:{self.type}: {self.text}"


def complaints(source: Source, mails: Sequence[Mail]) -> list[tuple[Complaint, ...]]:
    """What the base's checkpatch.pl says of each patch, as it is decoded."""
    with scratch() as folder:
        for script in SCRIPTS:
            text = source.repository.read(source.tree, f"scripts/{script}")
            if text is None:
                raise SourceError(f"the base has no scripts/{script}")
            (folder / script).write_text(text, encoding="utf-8")
        found = []
        for number, mail in enumerate(mails):
            patch = folder / str(number) / mail.patch.name
            patch.parent.mkdir()
            patch.write_bytes(mail.text)
            found.append(_complaints(folder, patch))
        return found


def _complaints(folder: Path, patch: Path) -> tuple[Complaint, ...]:
    argv: list[str | Path] = ["perl", folder / SCRIPTS[0], *OPTIONS, patch]
    # The work tree may lie inside another repository, whose history is not the kernel's.
    done = process.run(argv, cwd=folder, env={**os.environ, "GIT_DIR": "none"}, check=False)
    found = parse(done.stdout.decode("utf-8", "replace"))
    if done.returncode > 1 or bool(found) != bool(done.returncode):
        raise process.failed([str(word) for word in argv], done.returncode, done.stderr)
    return found


def parse(text: str) -> tuple[Complaint, ...]:
    """The complaints in what ``checkpatch.pl --terse --show-types`` printed."""
    return tuple(
        Complaint(line=int(match[1]), level=match[2], type=match[3], text=match[4].strip())
        for match in map(_LINE.fullmatch, text.splitlines())
        if match
    )


def answers(folder: Path) -> dict[str, str]:
    """The comments ``# checkpatch: TYPE reason`` of a series, by type.

    Raises `PatchError` for one without a reason.
    """
    found = {}
    file = folder / SERIES_FILE
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not re.match(r"#\s*checkpatch\b", line):
            continue
        match = _ANSWER.fullmatch(line.strip())
        if match is None:
            said = "a checkpatch comment is: # checkpatch: TYPE reason"
            raise PatchError(said, where=f"{file}:{number}")
        found[match[1]] = match[2]
    return found


def answered(found: Sequence[Complaint], known: Mapping[str, str]) -> tuple[Complaint, ...]:
    """The same complaints, each with the answer that the series has for its type."""
    return tuple(one.model_copy(update={"answer": known.get(one.type)}) for one in found)


log = logging.getLogger(__name__)


def new_warnings(job: Build, base: Build, cache: Path, *, jobs: int = 0) -> tuple[str, ...]:
    """The warnings of a tree that its base does not have.

    Answered from the cache when known. Raises `BuildError` or `ConfigError`.
    """
    files = [change.file for change in job.source.repository.changes(base.tree, job.tree)]
    found = warnings(job, files, cache, jobs=jobs)
    # Nearly always there is none, and the base needs no build.
    return fresh(found, warnings(base, files, cache, jobs=jobs)) if found else ()


def fresh(found: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Those of `found` that `known` lacks, whatever line of the file they have moved to."""
    left = Counter(map(_anywhere, known))
    more = []
    for line in found:
        left[_anywhere(line)] -= 1
        if left[_anywhere(line)] < 0:
            more.append(line)
    return tuple(more)


def warnings(job: Build, files: Sequence[str], cache: Path, *, jobs: int = 0) -> tuple[str, ...]:
    """Every warning, once, of what depends on `files`; answered from the cache when known."""
    key = hashlib.sha256("\0".join([job.kernel_id, *files]).encode()).hexdigest()[:16]
    memory = cache / "warnings" / f"{key}.json"
    try:
        return tuple(json.loads(memory.read_bytes()))
    except (OSError, ValueError):
        pass
    work = cache / "work" / job.source.folder.name
    with (
        locked(work / ".lock", lambda: log.info("waiting for another build of this base")),
        disk_errors(work),
    ):
        found = _compile(job, files, work, jobs or os.cpu_count() or 1)
    write_atomic(memory, json.dumps(found, indent=1) + "\n")
    return found


def _compile(job: Build, files: Sequence[str], work: Path, jobs: int) -> tuple[str, ...]:
    start = time.monotonic()
    # The bare base does not know the options that patches bring.
    out = build.configure(job, work, strict=job.tree != job.source.tree)
    found: tuple[str, ...] = ()
    # The first time what differs from the tree before is compiled as well: look twice if need be.
    for _ in range(2):
        job.source.repository.renew(files, work / "linux", work / "index")
        build.make(job, out, work.parents[1], jobs, start=start)
        lines = (out / "build.log").read_text(encoding="utf-8", errors="replace").splitlines()
        found = tuple(dict.fromkeys(line for line in lines if build.WARNING.search(line)))
        if not found:
            break
    return found


def _anywhere(warning: str) -> str:
    """A warning without its line and column."""
    return re.sub(r":\d+(:\d+)?:", ":", warning, count=1)


RECORDS = "hygiene"
"""The folder of kernel-patches/ that keeps the last look at all series of a base, ``BASE.json``."""

LINES = "lines"
"""The metric of a claim about the size of a series."""


@dataclass(frozen=True)
class SeriesInPlace:
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


class SeriesReport(Model):
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
    series: tuple[SeriesReport, ...]


def lines_of_code(patch: str) -> int:
    """Lines that a patch adds, without blank ones, comments and those below Documentation/."""
    count, counted, in_c, comment = 0, False, False, False
    for line in patch.splitlines():
        if line.startswith("+++ "):
            name = line[6:].split("\t")[0].strip()
            counted, in_c = not name.startswith("Documentation/"), name.endswith((".c", ".h", ".S"))
        if line.startswith(("@@", "--- ", "+++ ")):
            comment = False
        elif line == "-- ":
            counted = False
        elif counted and line[:1] in ("+", " ") and line:
            text, comment = _without_comments(line[1:], comment) if in_c else (line[1:], False)
            bare = text.strip()
            count += bool(line[0] == "+" and bare and (in_c or not bare.startswith("#")))
    return count


def _without_comments(line: str, inside: bool) -> tuple[str, bool]:
    """What is left of a line of C, and whether a comment goes on behind it.

    A hunk may begin within a comment, whose lines begin with a star.
    """
    if inside:
        if "*/" not in line:
            return "", True
        line = line.partition("*/")[2]
    elif line.lstrip().startswith(("* ", "*/")) or line.strip() == "*":
        return "", False
    line, opened, _ = re.sub(r"/\*.*?\*/", "", line).partition("/*")
    return line.partition("//")[0], bool(opened)


def subjects(variants: Iterable[Variant], names: Sequence[str] = ()) -> list[SeriesInPlace]:
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
        SeriesInPlace(*place, tuple(promises))
        for place, promises in places.items()
        if not names or place[0] in names
    ]


def subjects_on(project: Project, base: Base, names: Sequence[str] = ()) -> list[SeriesInPlace]:
    """The series that are made for a base, as `subjects` has them; raises `UserError` as it does,
    and for a name that has no port to the base."""
    roles: tuple[Role, ...] = ("proposal", "broken")
    every = [project.variant(name) for role in roles for name in project.variants(role)]
    known = {series for variant in every for series in variant.series}
    for name in known.intersection(names):
        project.port(name, base)
    return subjects([each for each in every if project.ported(each, base)], names)


def check(kernels: Kernels, asked: Sequence[SeriesInPlace]) -> Record:
    """Looks at each series; what is known from an earlier look is not built again."""
    found = []
    for subject in asked:
        found.append(_check(kernels, subject))
        for problem in found[-1].problems:
            log.warning(f"{subject.series}: {problem}")
    base = kernels.base.version
    return Record(base=base, toolchain=build.toolchain(kernels.chosen()), series=tuple(found))


def _check(kernels: Kernels, subject: SeriesInPlace) -> SeriesReport:
    project, source = kernels.project, kernels.base
    folder = project.port(subject.series, kernels.asked)
    before = patches.apply(source, [project.port(name, kernels.asked) for name in subject.after])
    steps, problems = _applied(kernels, subject)
    said = complaints(source, [one for patch in patches.read_series(folder) for one in read(patch)])
    known = answers(folder)
    prefixes, trees = [], [before.tree, *(step.tree for step in steps)]
    for number, step in enumerate(steps):
        log.info(f"{subject.series}: {number + 1} of {len(said)}: {step.name}")
        changes = source.repository.changes(trees[number], step.tree)
        warnings, broken = _built(kernels, subject, step.tree)
        prefix = Prefix(
            patch=step.name,
            sha256=digest(step.patch),
            tree=step.tree,
            files=len(changes),
            added=sum(change.added for change in changes),
            removed=sum(change.removed for change in changes),
            built=not broken,
            warnings=warnings,
            complaints=answered(said[number], known),
        )
        prefixes.append(prefix)
        problems += [f"{step.name}: {text}" for text in (*broken, *_open(prefix))]
    used = {complaint.type for complaints in said for complaint in complaints}
    problems += [f"series: checkpatch does not say {name}" for name in known if name not in used]
    whole = source.repository.changes(trees[0], trees[-1])
    return SeriesReport(
        **{"series": subject.series, "after": subject.after, "fragments": subject.fragments},
        patches=len(said),
        files=len(whole),
        added=sum(change.added for change in whole),
        removed=sum(change.removed for change in whole),
        promise=min(subject.promises, default=None),
        prefixes=tuple(prefixes),
        problems=tuple(problems),
    )


def _applied(
    kernels: Kernels, subject: SeriesInPlace
) -> tuple[tuple[patches.AppliedPatch, ...], list[str]]:
    """The longest prefix of the series that applies, and why the next patch does not."""
    folders = [kernels.project.port(name, kernels.asked) for name in subject.after]
    earlier = [patch for folder in folders for patch in patches.read_series(folder)]
    mine = patches.read_series(kernels.project.port(subject.series, kernels.asked))
    problem: list[str] = []
    for count in range(len(mine), 0, -1):
        try:
            tree = patches.apply_patches(kernels.base, [*earlier, *mine[:count]])
        except PatchError as error:
            problem = [str(error)]
            continue
        return tree.steps[sum(len(read(patch)) for patch in earlier) :], problem
    return (), problem


def _built(
    kernels: Kernels, subject: SeriesInPlace, tree: str
) -> tuple[tuple[str, ...], list[str]]:
    """The new warnings of a prefix, or why it does not build."""
    project, source = kernels.project, kernels.base
    fragments = project.fragments(subject.fragments, kernels.asked)
    chosen = kernels.chosen()
    job, base = (build.plan(source, name, fragments, chosen) for name in (tree, source.tree))
    try:
        found = new_warnings(job, base, project.cache, jobs=kernels.jobs)
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
