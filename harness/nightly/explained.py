# SPDX-License-Identifier: GPL-2.0-only
"""Which functions a count of the work clock changed by, where the boots of both nights have it.

An experiment with `instrument: both` leaves with each boot what every function took. The boots of
the night before are there until they are pruned.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.compare import explain
from harness.errors import ResultsError
from harness.model import GOOD
from harness.nightly.changes import Change
from harness.nightly.history import Night
from harness.parse import Profile
from harness.parse.evidence import kernel_profile
from harness.results import Results, read_run, slot_key


def explained(folder: Path, nights: Sequence[Night], found: Sequence[Change]) -> list[list[str]]:
    """Variant, machine and functions, of each cell whose counts are otherwise since tonight."""
    if len(nights) < 2:
        return []
    last, night = nights[-2:]
    changed = dict.fromkeys(
        (change.variant, change.subject.machine)
        for change in found
        if change.night == night.number and change.subject.clock == "work" and change.matters
    )
    told = []
    for variant, machine in changed:
        before, after = (
            _profile(folder / each.results, variant, machine) for each in (last, night)
        )
        if before and after:
            told.append([variant, machine, explain(before, after).in_all])
    return told


def _profile(results: Path, variant: str, machine: str) -> Profile | None:
    """That of a good boot; none where there is none any more, or it cannot be read."""
    for path in Results(results).listing()[0]:
        if not slot_key(path).startswith(f"{variant}/{machine}/work/"):
            continue
        try:
            good = read_run(path).judgement.outcome in GOOD
        except ResultsError:
            continue
        if good and (profile := kernel_profile(path.parent)):
            return profile
    return None
