# SPDX-License-Identifier: GPL-2.0-only
"""One night, from the newest base to the report: boots, the history, and what changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import Field

from harness.errors import UserError
from harness.files import read_plain, sha256_of, write_atomic
from harness.foreign import MAX_JSON, read_json
from harness.kernel import Kernels, patches, source
from harness.model import Experiment, Model, base_of
from harness.nightly import dashboard, history, prune, testcases
from harness.nightly.bisections import Bisection, bisections
from harness.nightly.changes import Tolerance, changes, status
from harness.nightly.dashboard import Board
from harness.nightly.explained import explained
from harness.nightly.history import History, Night, by_day, is_before, night_of
from harness.nightly.pairs import beside
from harness.project import Project
from harness.report import render
from harness.report.testcases import junit, ktap
from harness.results import Damage, Results
from harness.run import Event, RunOptions, Session, run_experiment

FILES = ("dashboard.html", "summary.md", "junit.xml", "results.ktap", "history.csv")
"""The forms of a report."""

HISTORY = "history"

ANSWERS = "bisections.json"
"""What bisections found, beside the report of their night."""

Bisect = Callable[[Bisection], str]
"""Runs a bisection and answers, in a line, what it found or why it found nothing."""


class Answers(Model):
    """bisections.json."""

    answers: dict[str, str] = Field(default_factory=dict)


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reported:
    """The newest night among the others, and the folder of its report."""

    board: Board
    folder: Path


def run_night(
    project: Project,
    experiment: Experiment,
    folder: Path,
    tolerance: Tolerance,
    *,
    day: date | None = None,
    update: bool = True,
    base: str | None = None,
    force: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
    bisect: Bisect | None = None,
) -> Reported:
    """Boots a night, today if `day` names no other (UTC), and reports it beside those before it.

    A night that is the newest of the history is only reported again. `update` renews apt's lists
    before asking for a base; `base` is the one to boot on, where not those of the experiment.
    `bisect` runs down what regressed; what it found stays beside the report.
    Raises `UserError` for a date that is buried in the history.
    """
    with Results(folder).locked():
        nights, damage = _read(folder)
        day = day or datetime.now(UTC).date()
        if by_day(nights, day) is None:
            if base := project.chosen(base):
                experiment = experiment.model_copy(update={"bases": (base,)})
            if update:
                for name in experiment.bases or (None,):
                    renewed = source.renew(project.base(name), project.cache)
                    log.info("renewed apt's lists" if renewed else "apt's lists are as they are")
            options = RunOptions(folder / prune.BOOTS / day.isoformat(), force=force)
            last = nights[-1] if nights else None
            plan = beside(Kernels(project, newest=True), experiment, last)
            ran = run_experiment(
                project,
                plan.experiment,
                options,
                derived=plan.derived,
                store=plan.store,
                on_event=on_event,
            )
            found = render.publish(ran.results)
            night = night_of(found, day, ran.results.path.relative_to(folder).as_posix())
            night = night.model_copy(update={"patches": _patches(plan.store, ran.session)})
            # What is there and cannot be read is in the dataset's damage already.
            gone = [str(item) for item in ran.unread if not ran.results.has(item.key)]
            night = night.model_copy(update={"damage": (*night.damage, *gone)})
            nights.append(History(folder / HISTORY).append(night))
        elif day != nights[-1].day:
            raise UserError(
                f"{day} is in the history, and {nights[-1].day} came after it",
                where=str(folder / HISTORY),
                remedy="set the clock of the host, or name the night with --date",
            )
        else:
            log.info(f"{day} is in the history already: nothing is booted")
        return _report(folder, nights, damage, tolerance, bisect)


def _patches(store: Kernels, session: Session) -> dict[str, tuple[str, ...]]:
    """Of each kernel that is built, its patches in order, each with the begin of its sha256."""
    found = {}
    for name, variant in session.variants.items():
        if variant.prebuilt or is_before(name):
            continue
        on = store.at(base_of(name))
        found[name] = tuple(
            f"{series}/{patch.name} {sha256_of(patch)[:12]}"
            for series, folder in zip(
                variant.series, store.project.series(variant, on.asked), strict=True
            )
            for patch in patches.read_series(folder)
        )
    return found


def report_night(folder: Path, tolerance: Tolerance, bisect: Bisect | None = None) -> Reported:
    """Reports the newest night once more; raises `UserError` where there is none."""
    with Results(folder).locked():
        nights, damage = _read(folder)
        if not nights:
            raise UserError("no night yet", where=str(folder))
        return _report(folder, nights, damage, tolerance, bisect)


def _read(folder: Path) -> tuple[list[Night], list[Damage]]:
    nights, damage = History(folder / HISTORY).read()
    for item in damage:
        log.warning(f"cannot be read, and was set aside: {item.path}: {item.reason}")
    return nights, damage


def _report(
    folder: Path,
    nights: Sequence[Night],
    damage: Sequence[Damage],
    tolerance: Tolerance,
    bisect: Bisect | None,
) -> Reported:
    """Judges the newest night and writes all forms of its report; `latest` points to it."""
    found = changes(nights, tolerance)
    asked = bisections(nights, found)
    target = folder / prune.REPORTS / nights[-1].day.isoformat()
    answers = _answers(target / ANSWERS, asked, bisect)
    board = Board(nights, found, damage, status(found, nights[-1].number), asked, answers)
    board = replace(board, explained=explained(folder, nights, found))
    page, text = dashboard.render(board)
    told = testcases.cases(board.night, board.changes)
    forms: tuple[str | bytes, ...] = (
        *(page, text),
        junit(f"pageinit nightly {board.night.day}", board.night.started_utc, told),
        ktap(told),
        history.to_csv(board.nights),
    )
    for name, data in zip(FILES, forms, strict=True):
        write_atomic(target / name, data)
    temporary = folder / ".latest.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.relative_to(folder))
    temporary.replace(folder / "latest")
    return Reported(board, target)


def _answers(file: Path, asked: Sequence[Bisection], bisect: Bisect | None) -> dict[str, str]:
    """What came of each bisection, by command: known already, or found now."""
    known = Answers()
    if file.exists():
        known = Answers.parse(read_json(read_plain(file, MAX_JSON)), str(file))
    for each in asked if bisect else ():
        assert bisect
        if (command := each.command()) and command not in known.answers:
            log.info(f"bisecting: {command}")
            known.answers[command] = bisect(each)
            write_atomic(file, known.model_dump_json(indent=1) + "\n")
    return known.answers
