# SPDX-License-Identifier: GPL-2.0-only
"""One tree of a bisection: built once, booted once by the work clock, one figure of it.

Both are kept, the kernel in the store and the boot in a results folder that the lock names: a
bisection that is started again goes through what it knows without a build or a boot.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from harness import files
from harness.compare import explain, series_of
from harness.errors import HarnessError, PatchError, UserError
from harness.kernel import (
    Kernels,
    Repository,
    Source,
    dirty,
    environment,
    kernel_release,
    patches,
)
from harness.model import HOST_FAULT, TOUCHES, Experiment, Outcome, Timeouts, Variant
from harness.parse import Profile
from harness.process import run
from harness.project import Project
from harness.report import render
from harness.results import Results
from harness.run import RunOptions, profile_boot, run_experiment
from harness.units import parse_size

Verdict = Literal["good", "bad", "skip"]

NOT_ITS_FAULT = HOST_FAULT | {Outcome.BUILD_FAILED}
"""Outcomes that say nothing of whether a kernel boots."""

STATUS: dict[Verdict, int] = {"good": 0, "bad": 1, "skip": 125}
"""What `git bisect run` takes them from."""


def search(last: int, ask: Callable[[int], Verdict]) -> range:
    """The points of which one is the first bad one; just one unless some had to be skipped.

    Point 0 is good and `last` is bad: the caller knows. Asks about each point at most once.
    """
    low, high = 0, last
    skipped: set[int] = set()
    while left := [point for point in range(low + 1, high) if point not in skipped]:
        point = min(left, key=lambda point: abs(2 * point - low - high))
        verdict = ask(point)
        if verdict == "skip":
            skipped.add(point)
        elif verdict == "good":
            low = point
        else:
            high = point
    return range(low + 1, high + 1)


@dataclass(frozen=True)
class Threshold:
    """Where good ends: a value, or a factor of what the good end has; bad lies `above` or below.

    With `fails` what is bad is a boot that does not come to its end, whatever it measured.
    """

    value: float | None = None
    factor: float | None = None
    above: bool = True
    fails: bool = False

    @classmethod
    def parse(cls, text: str, above: bool, where: str) -> Threshold:
        """``1.1x``, ``10%`` (above or below the good end), ``120000000``, ``64MiB``."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*(x|%)?\s*", text)
        if match is None:
            try:
                return cls(value=parse_size(text), above=above)
            except ValueError:
                remedy = "write 1.1x, 10%, 120000000 or 64MiB"
                raise UserError(f"no threshold: {text!r}", where=where, remedy=remedy) from None
        number = float(match[1])
        if not math.isfinite(number):
            raise UserError(f"no threshold: {text!r}", where=where, remedy="name a smaller number")
        if match[2] == "x":
            return cls(factor=number, above=above)
        if match[2] == "%":
            return cls(factor=1 + number / 100 if above else 1 - number / 100, above=above)
        return cls(value=number, above=above)

    def limit(self, good: float | None) -> float:
        """The value beyond which a point is bad; `good` is that of the good end."""
        if self.value is not None:
            return self.value
        assert self.factor is not None
        if good is None:
            raise UserError("a factor needs the value of the good end")
        return self.factor * good

    def judge(self, trial: Trial, good: float | None) -> Verdict:
        """Of what a point gave; `good` is the value of the good end."""
        if self.fails:
            known: Verdict = "skip" if trial.value is None else "good"
            return "bad" if trial.failed else known
        return self.verdict(trial.value, good)

    def verdict(self, value: float | None, good: float | None) -> Verdict:
        """Of a value; a point without one is skipped."""
        if value is None:
            return "skip"
        limit = self.limit(good)
        return "bad" if (value > limit if self.above else value < limit) else "good"


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What is measured of every tree. The kernel's configuration is that of the variant."""

    project: Project
    variant: Variant
    machine: str
    metric: str
    results: Path
    base: str | None = None
    """whose ports of the series and fragments are taken; the default one's without"""
    newest: bool = False
    """whether the pins of that base are passed over, as a night does"""
    limits: Timeouts = field(default_factory=Timeouts)
    """when a boot is given up"""

    @property
    def kernels(self) -> Kernels:
        """Where kernels come from."""
        return Kernels(self.project, on=self.base, newest=self.newest)

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
            {**about, "baseline": self.variant.name, "matrix": (group,), "limits": self.limits}
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
    failed: bool = False
    """it was built, and the boot did not come to its end; the host is not to blame"""

    def __str__(self) -> str:
        return self.reason if self.value is None else f"{self.value:,.0f}"


def measure(question: Question, point: Point) -> Trial:
    """Builds and boots a point, or finds it built and booted.

    Raises `UserError` for a metric that a good boot does not have.
    """
    if point.tree is None:
        return Trial(point, None, point.problem)
    variant = question.variant
    made = {variant.name: point.tree}
    kernels = replace(question.kernels, given=point.source, trees=made)
    ran = run_experiment(
        question.project,
        question.experiment,
        RunOptions(question.results),
        derived=[variant],
        store=kernels,
    )
    found = render.publish(ran.results)
    for wrong in ran.wrong:
        failed = wrong.outcome is not None and wrong.outcome not in NOT_ITS_FAULT
        return Trial(point, None, str(wrong).splitlines()[0], failed)
    (variants,) = series_of(found, (question.metric,)).values()
    return Trial(point, variants[variant.name].median)


def profiled(question: Question, point: Point) -> Profile:
    """Where the instructions of a point go, once more booted for that; raises as that does."""
    name, tree = question.variant.name, point.tree
    assert tree
    seen = profile_boot(
        question.project,
        name,
        question.machine,
        Results(question.results / "profile"),
        base=question.base,
        store=replace(question.kernels, given=point.source, trees={name: tree}),
    )
    return seen.kernel


class Hunt:
    """A bisection under way: what was tried, and what it gave."""

    def __init__(
        self,
        question: Question,
        threshold: Threshold,
        open_point: Callable[[int], Point],
        last: int,
    ) -> None:
        self._question, self._threshold = question, threshold
        self._open, self._last = open_point, last
        self.trials: dict[int, Trial] = {}
        self.verdicts: dict[int, Verdict] = {}

    def run(self) -> range:
        """The suspects; none where the last point is as good as the first.

        Raises `UserError` where the first point is not good.
        """
        if self.ask(0) != "good":
            trial = self.trials[0]
            raise UserError(f"the good end is not good: {trial}", where=trial.point.name)
        if self.ask(self._last) != "bad":
            return range(0)
        return search(self._last, self.ask)

    def said(self, suspects: range) -> str:
        """What came of it, in words."""
        words = {0: "nothing moved: the last point is not bad", 1: "the first bad one"}
        told = words.get(len(suspects), "one of these, the others cannot be tried")
        names = (self.trials[n].point.name if n in self.trials else str(n) for n in suspects)
        return f"{told}: {', '.join(names)}".rstrip(": ")

    def explained(self, suspects: range) -> str:
        """Which functions make the one suspect differ from the point before it, in words.

        Empty where there is not just one, and where its functions cannot be counted.
        """
        if len(suspects) != 1 or self._threshold.fails:
            return ""
        points = [self.trials[n].point for n in (suspects[0] - 1, suspects[0])]
        try:
            before, after = (profiled(self._question, point) for point in points)
        except HarnessError as error:
            log.warning(f"no functions explain it: {error.what.splitlines()[0]}")
            return ""
        return f"by function, {explain(before, after).in_all}"

    def ask(self, index: int) -> Verdict:
        """Measures a point and judges it."""
        point = self._open(index)
        log.info(f"trying {index}: {point.name}")
        trial = self.trials[index] = measure(self._question, point)
        verdict = self.verdicts[index] = self._threshold.judge(trial, self.trials[0].value)
        log.info(f"{verdict}: {trial}")
        return verdict


def step(
    question: Question, threshold: Threshold, line: CommitRange, good: str | None
) -> tuple[Trial, Verdict]:
    """Measures HEAD of a tree and judges it; `good` is the commit that a factor refers to.

    Raises `UserError` for a factor without one.
    """
    reference = None
    if threshold.factor is not None:
        if not good:
            raise UserError("a factor needs --good REV", where="--above, --below")
        reference = measure(question, line.point(good, question)).value
    if changed := dirty(line.origin):
        log.warning(f"{line.origin}: {', '.join(changed)}: not committed, and not measured")
    trial = measure(question, line.point("HEAD", question))
    return trial, threshold.judge(trial, reference)


def by_series(question: Question, threshold: Threshold, series: str, good: str = "") -> Hunt:
    """Over the patches of a series behind `good`; all of it where none is named."""
    known = prefixes(question.kernels, question.variant, series)
    names = [point.name for point in known]
    if good and good not in names:
        raise UserError(
            f"series {series} has no patch {good}",
            where="--good",
            remedy=f"it has: {', '.join(names[1:])}",
        )
    known = known[names.index(good) :] if good else known
    return Hunt(question, threshold, known.__getitem__, len(known) - 1)


def by_range(question: Question, threshold: Threshold, span: str, tree: Path) -> Hunt:
    """Over the commits ``GOOD..BAD`` of a kernel tree, with the variant's series on each."""
    good, _, bad = span.partition("..")
    line = CommitRange.open(tree, question.project.cache)
    commits = line.commits(good, bad or "HEAD")

    def open_point(index: int) -> Point:
        return line.point(commits[index], question)

    return Hunt(question, threshold, open_point, len(commits) - 1)


def prefixes(kernels: Kernels, variant: Variant, name: str) -> list[Point]:
    """The base with all that comes before a series, then with one patch of it more each time."""
    if name not in variant.series:
        raise UserError(
            f"variant {variant.name} has no series {name}",
            where="--series",
            remedy=f"it has: {', '.join(variant.series)}; name another with --variant",
        )
    place = variant.series.index(name)
    names = variant.series[: place + 1]
    folders = [kernels.project.port(series, kernels.asked) for series in names]
    before = patches.apply(kernels.base, folders[:-1])
    steps = patches.apply(kernels.base, folders).steps[len(before.steps) :]
    first = Point(f"before {name}", kernels.base, before.tree)
    return [first, *(Point(step.name, kernels.base, step.tree) for step in steps)]


@dataclass(frozen=True)
class CommitRange:
    """Commits of a git repository of somebody, seen through a repository of ours: it is not
    written to, and its objects are not copied."""

    origin: Path
    own: Repository

    @classmethod
    def open(cls, path: Path, cache: Path) -> CommitRange:
        """Raises `UserError` where there is no repository."""
        argv = ["git", "-C", str(path), "rev-parse", "--path-format=absolute", "--git-common-dir"]
        done = run(argv, env=environment(), check=False)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace")
            if "dubious ownership" in said:
                raise UserError(
                    "git does not read the repository of another user",
                    where=str(path),
                    remedy=f"git config --global --add safe.directory {shlex.quote(str(path))}",
                )
            raise UserError("no git repository", where=str(path), remedy="name it with --tree")
        origin = Path(done.stdout.decode().strip())
        key = hashlib.sha256(str(origin).encode()).hexdigest()[:12]
        folder = cache / "sources" / f"range-{key}"
        with files.locked(cache / "sources" / ".lock"):
            if not (folder / "repo.git").is_dir():
                with files.filling(folder) as part:
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

    def point(self, commit: str, question: Question) -> Point:
        """A commit with the series of a variant on top; without a tree where they do not apply."""
        full = self._ask("rev-parse", "--verify", f"{commit}^{{commit}}")
        subject = self._ask("log", "-1", "--format=%h %s", full)
        tree = self.own.tree_of(full)
        release = kernel_release(self.own.read(tree, "Makefile") or "")
        source = Source(repo=self.own.path, tree=tree, version=release, sha256=None, origin=full)
        project = question.project
        folders = project.series(question.variant, project.base(question.base))
        try:
            return Point(subject, source, patches.apply(source, folders).tree)
        except PatchError as error:
            return Point(subject, source, None, str(error).splitlines()[0])

    def _ask(self, *words: str) -> str:
        done = run(["git", "-C", self.origin, *words], env=environment(), check=False)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise UserError(said or "git failed", where=str(self.origin))
        return done.stdout.decode("utf-8", "replace").strip()
