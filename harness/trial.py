# SPDX-License-Identifier: GPL-2.0-only
"""One tree of a bisection: built once, booted once by the work clock, one figure of it.

Both are kept, the kernel in the store and the boot in a results folder that the lock names: a
bisection that is started again goes through what it knows without a build or a boot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness import cache as store
from harness import evidence, patches, runner
from harness.dataset import collate
from harness.errors import PatchError, UserError
from harness.experiment import Experiment
from harness.kernels import Kernels
from harness.project import Project
from harness.record import GOOD
from harness.repository import Repository, environment
from harness.runner import Options
from harness.series import TOUCHES, series_of
from harness.session import prepare
from harness.source import Source, kernel_release
from harness.tool import run
from harness.variant import Variant

Log = Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """What is measured of every tree. The kernel's configuration is that of the variant."""

    project: Project
    variant: Variant
    machine: str
    metric: str
    results: Path

    @property
    def experiment(self) -> Experiment:
        probes = ("meminfo", "touch") if self.metric in TOUCHES else ("meminfo",)
        group = {
            "variants": (self.variant.name,),
            "machines": (self.machine,),
            "clocks": {"work": {}},
            "probes": {"run": probes, "touch_threads": 1},
        }
        about = {"name": "bisect", "description": f"{self.metric} of one tree"}
        return Experiment.model_validate(
            {**about, "baseline": self.variant.name, "matrix": (group,)}
        )


@dataclass(frozen=True)
class Point:
    """One state of the source: a prefix of a series, or a commit."""

    name: str
    source: Source
    tree: str | None
    problem: str = ""
    """why there is no tree"""


@dataclass(frozen=True)
class Trial:
    """What a point gave; without a value it neither is good nor bad."""

    point: Point
    value: float | None
    reason: str = ""


def measure(question: Question, point: Point, log: Log) -> Trial:
    """Builds and boots a point, or finds it built and booted.

    Raises `UserError` for a metric that a good boot does not have.
    """
    if point.tree is None:
        return Trial(point, None, point.problem)
    variant = question.variant
    kernels = Kernels(question.project, log, given=point.source, trees={variant.name: point.tree})
    session = prepare(
        question.project, question.experiment, log, {variant.name: variant}, store=kernels
    )
    if isinstance(failed := session.kernels[variant.name], str):
        return Trial(point, None, failed.splitlines()[0])
    options = Options(question.results)
    results = runner.open_results(session, options)
    with results.locked():
        runner.run(session, results, options, lambda event: None)
        found = collate(results, evidence.reread)
    (boot,) = found.runs.to_dict("records")
    if boot["outcome"] not in GOOD:
        reason = "" if pd.isna(boot["reason"]) else f": {boot['reason']}"
        return Trial(point, None, boot["outcome"] + reason)
    (variants,) = series_of(found, (question.metric,)).values()
    return Trial(point, variants[variant.name].median)


def prefixes(kernels: Kernels, variant: Variant, name: str) -> list[Point]:
    """The base with all that comes before a series, then with one patch of it more each time."""
    if name not in variant.series:
        raise UserError(
            f"variant {variant.name} has no series {name}",
            where="--series",
            remedy=f"it has: {', '.join(variant.series)}; name another with --variant",
        )
    place = variant.series.index(name)
    folders = [kernels.project.patches / series for series in variant.series[: place + 1]]
    before = patches.apply(kernels.base, folders[:-1])
    steps = patches.apply(kernels.base, folders).steps[len(before.steps) :]
    first = Point(f"before {name}", kernels.base, before.tree)
    return [first, *(Point(step.patch.name, kernels.base, step.tree) for step in steps)]


@dataclass(frozen=True)
class Line:
    """Commits of a git repository of somebody, seen through a repository of ours: it is not
    written to, and its objects are not copied."""

    origin: Path
    own: Repository

    @classmethod
    def open(cls, path: Path, cache: Path) -> Line:
        """Raises `UserError` where there is no repository."""
        argv = ["git", "-C", str(path), "rev-parse", "--path-format=absolute", "--git-common-dir"]
        done = run(argv, env=environment(), check=False)
        if done.returncode:
            raise UserError("no git repository", where=str(path), remedy="name it with --tree")
        origin = Path(done.stdout.decode().strip())
        key = hashlib.sha256(str(origin).encode()).hexdigest()[:12]
        folder = cache / "sources" / f"range-{key}"
        with store.locked(cache / "sources" / ".lock"):
            if not (folder / "repo.git").is_dir():
                with store.filling(folder) as part:
                    Repository.create(part / "repo.git")
            alternates = folder / "repo.git/objects/info/alternates"
            alternates.write_text(f"{origin / 'objects'}\n")
        return cls(path, Repository(folder / "repo.git"))

    def commits(self, good: str, bad: str) -> list[str]:
        """`good`, and the commits from there to `bad` along first parents, oldest first."""
        first = self._ask("rev-parse", "--verify", f"{good}^{{commit}}")
        text = self._ask("rev-list", "--reverse", "--first-parent", f"{first}..{bad}")
        if not text:
            raise UserError("no commit in this range", where=f"{good}..{bad}")
        return [first, *text.split()]

    def point(self, commit: str, project: Project, variant: Variant) -> Point:
        """A commit with the series of a variant on top; without a tree where they do not apply."""
        full = self._ask("rev-parse", "--verify", f"{commit}^{{commit}}")
        subject = self._ask("log", "-1", "--format=%h %s", full)
        tree = self.own.tree_of(full)
        release = kernel_release(self.own.read(tree, "Makefile") or "")
        source = Source(repo=self.own.path, tree=tree, version=release, sha256=None, origin=full)
        try:
            return Point(subject, source, patches.apply(source, project.series(variant)).tree)
        except PatchError as error:
            return Point(subject, source, None, str(error).splitlines()[0])

    def _ask(self, *words: str) -> str:
        done = run(["git", "-C", self.origin, *words], env=environment(), check=False)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise UserError(said or "git failed", where=str(self.origin))
        return done.stdout.decode("utf-8", "replace").strip()
