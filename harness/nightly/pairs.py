# SPDX-License-Identifier: GPL-2.0-only
"""Seconds of two kernels of the same night: which boots again, and what they say together.

A host has moods, and most of what seconds do from night to night is its. So where a kernel is not
that of the night before, that one boots again in every block, beside tonight's: what the host does
to the one it does to the other, and their ratio is the kernel's. Where it is the same kernel
nothing is booted twice, and whatever its seconds do is the host's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from scipy import stats

from harness.compare import Interest
from harness.errors import HarnessError
from harness.kernel import Kernels
from harness.model import Experiment, Group, Variant, base_of, definition, on_base
from harness.nightly.history import BEFORE, Night, Pair, before
from harness.nightly.steps import Step

log = logging.getLogger(__name__)

FAR = 1e-4
"""How seldom a figure that did not change may be called: once in so many pairs of nights."""
SPANS = (1, 2, 4, 8, 16, 32)
"""Pairs of nights over which growth is added up."""
RECALL = 30
"""Pairs of nights that the spread is taken from."""


@dataclass(frozen=True)
class Beside:
    """A night with the kernels of the night before in it."""

    experiment: Experiment
    derived: tuple[Variant, ...]
    store: Kernels


def beside(store: Kernels, experiment: Experiment, last: Night | None) -> Beside:
    """Has the time clock boot the kernels of `last` again, of all variants that have another now.

    Builds tonight's kernels: before that nobody knows whether they are others. One that cannot be
    built, or is gone from the store, has no pair.
    """
    kept: dict[str, str] = {}
    derived: dict[str, Variant] = {}
    for name, variant in _timed(store, experiment) if last else ():
        assert last
        was, boot = last.kernels.get(name), last.inputs.get(f"variant {name} boot", "")
        if was is None:
            continue
        on = store.at(base_of(name))
        try:
            now = on.get(variant).kernel.kernel_id
            if (was, boot) == (now, " ".join(variant.boot)):
                continue
            replace(on, kept={name: was}).get(variant)
        except HarnessError as error:
            log.warning(f"{name}: no pair with the night before: {error.what.splitlines()[0]}")
            continue
        called = variant.name + BEFORE
        about = {
            "name": called,
            "description": f"{variant.name} as it was on the night of {last.day}",
            "boot": tuple(boot.split()),
            "claims": (),
        }
        derived[called] = variant.model_copy(update=about)
        kept[before(name)] = was
    chosen = experiment.model_copy(update={"matrix": tuple(_groups(experiment, kept))})
    return Beside(
        chosen if kept else experiment, tuple(derived.values()), replace(store, kept=kept)
    )


def _timed(store: Kernels, experiment: Experiment) -> Iterator[tuple[str, Variant]]:
    names = dict.fromkeys(
        name
        for group in experiment.matrix
        if "time" in group.clocks
        for name in experiment.on_bases(group, group.variants)
    )
    for name in names:
        variant = store.project.variant(definition(name))
        if not variant.prebuilt:
            yield name, variant


def _groups(experiment: Experiment, kept: Collection[str]) -> Iterator[Group]:
    """The time clock apart, base by base: a block holds both kernels of each variant."""
    for group in experiment.matrix:
        for clock, plan in group.clocks.items():
            alone = group.model_copy(update={"clocks": {clock: plan}})
            if clock == "work":
                yield alone
                continue
            for base in group.bases or experiment.bases or (None,):
                more = [v + BEFORE for v in group.variants if before(on_base(v, base)) in kept]
                variants = (*group.variants, *more)
                yield alone.model_copy(
                    update={"variants": variants, "bases": (base,) if base else None}
                )


def growth(pairs: Sequence[Pair], interest: Interest) -> list[Step]:
    """Where a figure has grown or shrunk: on one night, or bit by bit over the last `SPANS`.

    The places are those in `pairs`. What was called is not called again. The spread is that of all
    blocks of the last pairs together: five blocks alone do not tell theirs.
    """
    found: list[Step] = []
    sums, doubts = [0.0], [0.0]
    begin = 0
    for place, pair in enumerate(pairs):
        lately = pairs[max(0, place + 1 - RECALL) : place + 1]
        free = sum(each.n - 1 for each in lately)
        square = sum((each.n - 1) * each.spread**2 for each in lately) / free
        sums.append(sums[-1] + pair.change)
        doubts.append(doubts[-1] + square / pair.n)
        far = float(stats.t.isf(FAR / 2 / len(SPANS), free))
        low, high = interest.bounds(pair.before)
        for start in (place + 1 - span for span in SPANS if place + 1 - span >= begin):
            change, doubt = sums[-1] - sums[start], doubts[-1] - doubts[start]
            if not low <= change <= high and abs(change) > far * math.sqrt(doubt):
                after = pair.before * math.exp(pair.change)
                found.append(Step(start, place, after / math.exp(change), after))
                begin = place + 1
                break
    return found


def unpaired(nights: Sequence[Night]) -> list[str]:
    """The variants of the newest night with another kernel and nothing beside it."""
    if len(nights) < 2:
        return []
    last, night = nights[-2:]
    paired = {pair.variant for pair in night.pairs}
    timed = {figure.variant for figure in night.figures if figure.clock == "time"}
    return [name for name in sorted(timed - paired) if _other(last, night, name)]


def _other(last: Night, night: Night, name: str) -> bool:
    boot = f"variant {name} boot"
    was, now = last.kernels.get(name), night.kernels.get(name)
    return was != now or last.inputs.get(boot) != night.inputs.get(boot)
