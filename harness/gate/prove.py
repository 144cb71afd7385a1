# SPDX-License-Identifier: GPL-2.0-only
"""Sends variants through the correctness gate: boots what is missing of both builds, and judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import UserError
from harness.gate import checks as gate
from harness.gate.checks import Check
from harness.model import Variant, on_base
from harness.project import Project
from harness.results import Results, Wrong
from harness.run import Event, RunOptions, gate_verdict, keep_status, run_experiment


@dataclass(frozen=True)
class GateResult:
    """What the gate found: its checks, and the boots that went wrong."""

    results: Results
    checks: tuple[Check, ...]
    wrong: tuple[Wrong, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed, and no boot went wrong, those to compare with among them."""
        return not self.wrong and all(check.result != "fail" for check in self.checks)


def prove_scenarios(
    project: Project,
    variants: Sequence[Variant],
    options: RunOptions,
    *,
    base: str | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> GateResult:
    """Boots each variant in each scenario and judges it.

    No verdict on a kernel is kept: what boots here is the variant with more behind it. Raises as
    `prove_variants` does.
    """
    _refuse_prebuilt(variants)
    place = project.base(base)
    asked = gate.scenarios([variant.name for variant in variants], base, place.arch.name)
    made = [gate.scenario(each, build, place.name) for each in variants for build in gate.SCENARIOS]
    ran = run_experiment(project, asked, options, derived=made, on_event=on_event)
    runs, _ = ran.results.read()
    unread = {item.key: str(item) for item in ran.unread}
    known = gate.known_failures(ran.session.lock.variants)
    checks = gate.checks((stored.run for stored in runs), asked, unread, known)
    # A boot that is known to end badly is a check that is known to fail.
    wrong = tuple(item for item in ran.wrong if item.key.partition("/")[0] not in known)
    return GateResult(ran.results, tuple(checks), wrong)


def _refuse_prebuilt(variants: Sequence[Variant]) -> None:
    if prebuilt := [variant.name for variant in variants if variant.prebuilt]:
        raise UserError(f"{', '.join(prebuilt)}: a prebuilt kernel has no debug build")


def prove_variants(
    project: Project,
    variants: Sequence[Variant],
    options: RunOptions,
    *,
    base: str | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> GateResult:
    """Boots both builds of each variant and judges them; `eager` boots beside, to compare with.

    `base` is the kernel source by its name, where it is not the default one.
    The verdict on each kernel is kept in the cache, from where the locks of experiments have it.

    A variant of which fewer boots can be read than were planned has failed. Raises `UserError` for
    a prebuilt kernel, and as `run_experiment` does.
    """
    _refuse_prebuilt(variants)
    names = [variant.name for variant in variants]
    asked = gate.experiment(names, base, project.base(base).arch.name)
    derived = [gate.debug(each) for each in (*variants, project.variant(gate.BASELINE))]
    ran = run_experiment(project, asked, options, derived=derived, on_event=on_event)
    runs, _ = ran.results.read()
    unread = {item.key: str(item) for item in ran.unread}
    checks = gate.checks((stored.run for stored in runs), asked, unread)
    rows, lock = gate.rows(checks), ran.session.lock
    for name in (on_base(variant.name, base) for variant in variants):
        said = gate_verdict(rows, name)
        keep_status(project.cache, lock.variants[name], lock.kernels[name], said)
    return GateResult(ran.results, tuple(checks), ran.wrong)
