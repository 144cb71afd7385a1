# SPDX-License-Identifier: GPL-2.0-only
"""A series that somebody posted, from its mails to a verdict: what `harness try` does.

The series becomes a project of its own in the results folder: a copy of the machines, the
configurations and the marks, with the mails as one more series, a variant and an experiment. It
can be run again, bisected and sent to hosts as any other; the checkout is not written to.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from harness import process
from harness.compare import (
    CompareOptions,
    Comparison,
    Explanation,
    compare_variants,
    explain,
    improvements,
    regressions,
    rows,
)
from harness.dataset import Dataset, Row
from harness.errors import HarnessError, HostError, PatchError, UserError
from harness.files import filling, read_bytes, write_atomic
from harness.gate import GateResult, prove_variants
from harness.kernel import Kernels, environment, patches, source
from harness.kernel import posting as postings
from harness.kernel.posting import PostedMail, Posting
from harness.model import Variant
from harness.project import Project
from harness.report import HEAD, HEADLINE, publish
from harness.results import Results
from harness.run import Event, Ran, RunOptions, Steps, profile_boot, run_experiment, whole
from harness.text import one_line
from harness.units import amount

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MACHINES = ("quad-4g", "quad-16g")
"""Two sizes: what grows with memory differs, what does not is the same."""

REPLY = "reply.txt"

Word = Literal["broken", "worse", "mixed", "better", "no difference"]

_MESSAGE_ID = re.compile(r"(?:https?://(?:lore|patch)\.\S+/)?<?([^\s/<>]+@[^\s/<>]+)>?/?")


@dataclass(frozen=True)
class Plan:
    """What is asked about a series: beside which variant, on which machines, how long."""

    like: str = "deferred"
    """the variant that it is put on top of, and compared with"""
    machines: Sequence[str] = MACHINES
    blocks: int = 0
    """of the time clock; none is the work clock alone"""
    base: str | None = None
    """a base of the project that is not the default one"""


@dataclass(frozen=True)
class Review:
    """What became of a series. `worse` and `better` are rows of the comparison."""

    posting: Posting
    ran: Ran
    dataset: Dataset
    comparison: Comparison
    gate: GateResult | None
    worse: tuple[Row, ...]
    better: tuple[Row, ...]
    why: Mapping[str, Explanation] = field(default_factory=dict)
    """by machine: the functions that explain what changed there"""

    @property
    def word(self) -> Word:
        """The verdict; what fails the gate, or boots less often, is broken before all else."""
        failed = any(row["kind"] == "boots" or "fails" in row["verdict"] for row in self.worse)
        if failed or (self.gate and not self.gate.passed):
            return "broken"
        worse, better = (any(_telling(r) for r in rows) for rows in (self.worse, self.better))
        if worse:
            return "mixed" if better else "worse"
        return "better" if better else "no difference"


def gather(words: Sequence[str], stdin: Callable[[], bytes]) -> Posting:
    """The series that a command line names.

    One word is a file (mbox, mail or diff), a folder (of `git format-patch`, or a maildir), ``-``
    for standard input, or a Message-ID or an address of lore, which b4 fetches. Two words are a git
    tree and what it has: ``A..B``, or a branch, whose series begins at the last tag below it.
    Raises `UserError` where that is nothing, `PatchError` where no series is in it.
    """
    what, *more = words
    path = Path(what)
    if more:
        return _commits(path, more[0])
    if what == "-":
        return postings.read(stdin(), "standard input")
    if path.is_dir():
        return postings.read_folder(path)
    if path.is_file():
        return postings.read(read_bytes(path), what)
    if found := _MESSAGE_ID.fullmatch(what):
        return postings.read(_fetched(found[1]), what)
    raise UserError(
        f"no such file or folder, and no Message-ID: {what}",
        where="WHAT",
        remedy="give an mbox, a folder of patches, - for standard input, or TREE A..B",
    )


def _commits(tree: Path, line: str) -> Posting:
    ask = ["git", "-C", str(tree)]
    if line.startswith("-"):
        raise UserError(f"no range of commits: {line}", where="A..B")
    if ".." not in line:
        tag = [*ask, "describe", "--tags", "--abbrev=0", "--match=v[0-9]*", f"{line}~0"]
        try:
            last = process.run(tag, env=environment()).stdout.decode().strip()
        except HostError as error:
            raise UserError(
                f"no tag below {line}: {one_line(str(error))}", where=str(tree), remedy="give A..B"
            ) from None
        line = f"{last}..{line}"
    argv = [*ask, "format-patch", "--stdout", "--no-signature", "--numbered", "--end-of-options"]
    try:
        data = process.run([*argv, line], env=environment()).stdout
    except HostError as error:
        raise UserError(one_line(str(error), 300) or "git failed", where=f"{tree} {line}") from None
    if not data:
        raise UserError("no commits", where=f"{tree} {line}")
    return postings.read(data, f"{tree} {line}")


def _fetched(message_id: str) -> bytes:
    if find_spec("b4") is None:
        raise UserError(
            "a Message-ID needs b4 and the network",
            where=message_id,
            remedy="pip install pageinit[b4], or save the thread as an mbox",
        )
    import sys

    argv = [sys.executable, "-m", "b4", "am", "--no-cache", "-o", "-", message_id]
    return process.run(argv, env=environment()).stdout


def lay_out(project: Project, posting: Posting, plan: Plan, results: Path) -> tuple[Project, str]:
    """A project with the series in it, and the name of its variant and experiment.

    Lies below `results`, named by what is in it: the same series is laid out once. Raises
    `PatchError` that names patch and hunk where it does not apply, `UserError` for names.
    """
    like = project.variant(plan.like)
    for machine in plan.machines:
        project.machine(machine)
    if posting.base_commit:
        base = project.base(plan.base).name
        log.info(f"made for the commit {posting.base_commit[:12]}; tried on {base}")
    name = _slug(posting.subject, {like.name, *like.series})
    key = hashlib.sha256(repr((plan, [mail.text for mail in posting.patches])).encode())
    folder = results / "try" / f"{name}-{key.hexdigest()[:8]}"
    if not (folder / "project").is_dir():
        with filling(folder / "project") as part:
            for part_of in ("kernel-patches", "qemu-configs"):
                shutil.copytree(project.root / part_of, part / part_of)
            made = Project(part, project.cache)
            paths = _write_series(made.patches / name, posting)
            _fit(Kernels(made, on=plan.base), like, posting, paths)
            variants = made.patches / "variants"
            _write(variants / f"{name}.yaml", _variant(like, posting, name))
            _write(part / "experiments" / f"{name}.yaml", _experiment(name, posting, plan))
    return Project(folder / "project", project.cache), name


def _slug(subject: str, taken: set[str]) -> str:
    name = re.sub("[^a-z0-9]+", "-", subject.lower()).strip("-")[:40].strip("-") or "series"
    return f"{name}-posted" if name in taken else name


def _write_series(folder: Path, posting: Posting) -> list[Path]:
    paths = []
    for number, mail in enumerate(posting.patches, 1):
        path = folder / f"{number:04d}-{_slug(mail.subject, set())}.patch"
        write_atomic(path, _head(mail) + mail.text)
        paths.append(path)
    write_atomic(folder / patches.SERIES_FILE, "".join(f"{path.name}\n" for path in paths))
    return paths


def _head(mail: PostedMail) -> bytes:
    author = mail.author or "nobody <nobody@localhost>"
    return f"From: {author}\nSubject: [PATCH] {mail.subject}\n\n".encode()


def _fit(kernels: Kernels, like: Variant, posting: Posting, paths: Sequence[Path]) -> None:
    """Has the series apply on top of that of `like`, the marks: merged with it where it must be.

    Raises `PatchError` where it does not apply to the base, or touches the same lines as the marks.
    """
    base, marks = kernels.base, kernels.project.series(like, kernels.asked)
    try:
        patches.apply(base, [*marks, paths[0].parent])
        return
    except PatchError:
        pass
    try:
        alone = patches.apply(base, [paths[0].parent])
    except PatchError as error:
        others = ", ".join(_applies_to(kernels, paths[0].parent)) or "none of those at hand"
        raise PatchError(
            error.what,
            where=f"{posting.subject}: {Path(error.where or '').name}",
            remedy=f"it applies to: {others}; name one with --base, or send it for this one",
        ) from None
    marked, repository = patches.apply(base, marks).tree, base.repository
    before = marked
    for mail, path, step in zip(posting.patches, paths, alone.steps, strict=True):
        after = repository.merge(base.tree, marked, step.tree)
        if after is None:
            raise PatchError(
                f"applies to {base.version}, and changes lines that {', '.join(like.series)} needs",
                where=path.name,
                remedy="compare with a variant that has no such series: --like",
            )
        write_atomic(path, _head(mail) + b"---\n" + repository.diff(before, after))
        before = after


def _applies_to(kernels: Kernels, series: Path) -> Iterator[str]:
    """The other bases of the project whose sources are here and take the series."""
    for name in kernels.project.bases:
        with contextlib.suppress(HarnessError):
            base = kernels.project.base(name)
            there = source.cached(base, kernels.project.cache)
            if there and base.name != kernels.asked.name:
                patches.apply(there, [series])
                yield name


def _variant(like: Variant, posting: Posting, name: str) -> dict[str, Any]:
    origin = {"who": posting.author or "unknown", "message_id": posting.message_id or None}
    return {
        "description": posting.subject or name,
        "origin": {key: value for key, value in origin.items() if value},
        "series": [*like.series, name],
        "fragments": list(like.fragments),
        "boot": list(like.boot),
        "memory_model": like.memory_model.model_dump(mode="json"),
    }


def _experiment(name: str, posting: Posting, plan: Plan) -> dict[str, Any]:
    clocks: dict[str, Any] = {"work": {"blocks": 1}}
    if plan.blocks:
        clocks["time"] = {"blocks": plan.blocks, "warmup": 1}
    on = {"bases": [plan.base]} if plan.base else {}
    return {
        "description": f"what it changes: {posting.subject or name}",
        "baseline": plan.like,
        **on,
        "matrix": [
            {"variants": [plan.like, name], "machines": list(plan.machines), "clocks": clocks}
        ],
        "probes": {"run": ["meminfo", "touch"], "touch_bytes": "128MiB", "touch_threads": 1},
    }


def _write(path: Path, value: dict[str, Any]) -> None:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    write_atomic(path, text)


def review(
    project: Project,
    posting: Posting,
    plan: Plan,
    results: Path,
    *,
    gate: bool = False,
    steps: Steps = whole,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Review:
    """Lays the series out, builds and boots it beside what it is put on, and compares.

    Raises `PatchError` where it does not apply, `BuildError` where it does not compile, and as
    `run_experiment` does.
    """
    made, name = lay_out(project, posting, plan, results)
    folder = made.root.parent
    proof = None
    if gate:
        asked, options = [made.variant(name)], RunOptions(folder)
        proof = prove_variants(made, asked, options, base=plan.base, on_event=on_event)
        publish(proof.results)
    experiment = made.experiment(made.root / "experiments" / f"{name}.yaml")
    ran = run_experiment(made, experiment, RunOptions(folder), steps=steps, on_event=on_event)
    found = publish(ran.results)
    comparison = compare_variants(found, CompareOptions())
    worse, better = tuple(regressions(comparison)), tuple(improvements(comparison))
    why = _why(made, name, plan, folder) if worse or better else {}
    seen = Review(posting, ran, found, comparison, proof, worse, better, why)
    write_atomic(ran.results.path / REPLY, reply(seen))
    return seen


def _why(made: Project, name: str, plan: Plan, folder: Path) -> dict[str, Explanation]:
    """What functions say of the difference on the last machine; nothing where none are counted."""
    machine, results = plan.machines[-1], Results(folder / "profile")
    log.info(f"{machine}: which functions explain what changed")
    try:
        before, after = (
            profile_boot(made, each, machine, results, base=plan.base) for each in (plan.like, name)
        )
    except HarnessError as error:
        log.warning(f"no functions explain it: {one_line(str(error), 300)}")
        return {}
    if not before.profile.whole or not after.profile.whole:
        return {}
    return {machine: explain(before.kernel, after.kernel)}


def _telling(row: Row) -> bool:
    """Not the parts of a phase, which may shrink while the whole grows."""
    return row["name"] in HEAD


def sentences(seen: Review) -> list[str]:
    """What was found, the most telling first; a few lines."""
    said = []
    if seen.gate:
        bad = [c for c in seen.gate.checks if c.result == "fail"]
        failed = ", ".join(dict.fromkeys(c.check for c in bad)) or "a boot went wrong"
        said.append("The gate passes." if seen.gate.passed else f"The gate fails: {failed}.")
    for row in seen.worse:
        if row["kind"] == "boots":
            good, base = f"{row['value']:.0%}", f"{row['base']:.0%}"
            said.append(f"{row['machine']}: {row['verdict']} ({good} of its boots, {base} before).")
    for row in sorted((*seen.worse, *seen.better), key=_weight)[:6]:
        if row["kind"] != "boots":
            said.append(f"{row['machine']}: {row['name']} {_change(row)}, {row['verdict']}.")
    for machine, why in seen.why.items():
        said.append(f"{machine}: by function, {why.in_all}.")
    if len(said) == bool(seen.gate):
        said.append("No phase, no page fault and no memory of the host differs by what matters.")
    return said


def _weight(row: Row) -> tuple[bool, float]:
    return not _telling(row), -abs(row.get("difference") or 0)


def _change(row: Row) -> str:
    part = (row["value"] - row["base"]) / row["base"] if row["base"] else 0.0
    unit = " instructions" if row["metric"].startswith("instructions") else ""
    values = (amount(row[key], row["metric"]) for key in ("base", "value"))
    return f"{part:+.2%} ({' -> '.join(values)}{unit})"


def reply(seen: Review) -> str:
    """A table fit for a mail: plain text of at most 76 columns, with what it rests on."""
    runs = seen.dataset.runs
    lines = [f"{seen.posting.subject or 'The series'}: {seen.word}.", ""]
    lines += [_wrapped(line) for line in sentences(seen)]
    shown = [row for row in rows(seen.comparison) if _told(row)]
    table = [["machine", "clock", "what", "before", "after", "change"]]
    for row in shown:
        part = (row["value"] - row["base"]) / row["base"] if row["base"] else 0.0
        values = [amount(row[key], row["metric"]) for key in ("base", "value")]
        table.append([row["machine"], row["clock"], row["name"], *values, f"{part:+.2%}"])
    widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]
    lines.append("")
    lines += [
        "  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in table
    ]
    count = len(runs[~runs["warmup"]])
    lines += [
        "",
        f"Base: Linux {_all(runs, 'base_version')}, variant {seen.comparison.baseline};"
        f" {count} boots in",
        f"QEMU {_all(runs, 'qemu_version')} ({_all(runs, 'accel')}) on {_all(runs, 'host_cpu')}.",
        "work: guest instructions, exact, one boot a cell, not a time.",
    ]
    if "time" in set(runs["clock"]):
        lines.append("time: seconds of emulation, not of hardware; medians of boots in blocks.")
    return "\n".join(lines) + "\n"


def _wrapped(line: str) -> str:
    return textwrap.fill(
        line,
        76,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _all(runs: pd.DataFrame, name: str) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in runs[name].dropna().tolist()))


def _told(row: Row) -> bool:
    if row["kind"] not in ("work", "time", "memory"):
        return False
    return row["name"] in HEADLINE or row["verdict"] in ("faster", "slower", "more", "less")
