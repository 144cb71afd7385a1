# SPDX-License-Identifier: GPL-2.0-only
"""What all figures of a report share: names, places, and the boot that stands for a cell."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.dataset import dataset
from harness.report.context import COUNTED, EMULATED, Context, variants
from tests.support.records import lock, stored

CELL = ("eager", "m1", "time")


def test_the_exemplar_is_the_boot_in_the_middle(context):
    phases = context.dataset.phases
    boots = phases[(phases.phase == "boot") & (phases.source == "mark") & ~phases.warmup]
    for cell, seen in context.chosen.items():
        mine = boots[(boots.variant == cell[0]) & (boots.machine == cell[1])]
        mine = mine[mine.clock == cell[2]]
        metric = "duration_s" if cell[2] == "time" else "instructions"
        took = dict(zip(mine.run_id, mine[metric], strict=True))
        assert took[seen.run_id] == sorted(took.values())[(len(took) - 1) // 2]


def boots(*told):
    """Boots of one cell: seconds and outcome of each."""
    runs = [stored(CELL, n, seconds, outcome) for n, (seconds, outcome) in enumerate(told)]
    return dataset.tabulate(runs, lock())


seconds = st.integers(1, 99)
told = st.lists(st.tuples(seconds, st.sampled_from(["ok", "panic"])), min_size=1, max_size=7)


@settings(deadline=None, max_examples=25)
@given(told=told)
def test_a_good_boot_stands_for_a_cell_where_there_is_one(told):
    (seen,) = Context.of(boots(*told)).chosen.values()
    good = sorted(s for s, outcome in told if outcome == "ok")
    assert seen.good == bool(good)
    took = {f"{''.join(CELL)}{n}": s for n, (s, _) in enumerate(told)}
    if good:
        assert took[seen.run_id] == good[(len(good) - 1) // 2]
        assert seen.intervals["boot"] == (0.0, float(took[seen.run_id]))


def test_a_cell_without_marks_has_its_first_boot():
    found = boots((1, "ok"), (2, "ok"))
    bare = type(found).of(found.tables() | {"phases": found.phases[:0]}, found.lock)
    (seen,) = Context.of(bare).chosen.values()
    assert seen.run_id.endswith("0") and seen.intervals == {} == seen.hosted


def test_variants_have_the_order_of_the_experiment_and_then_their_own():
    runs = [stored((name, "m1", "time"), 0, 1) for name in ("zeta", "grow", "eager")]
    found = dataset.tabulate(runs, lock())
    named = [v for v in found.lock.experiment.variants if v in ("grow", "eager")]
    assert variants(found) == [*named, "zeta"]
    context = Context.of(found)
    assert [context.who[v].place for v in variants(found)] == [0, 1, 2]


@pytest.mark.parametrize(("accel", "unit"), [("tcg", EMULATED), ("kvm", "seconds")])
def test_seconds_under_emulation_are_called_that(accel, unit):
    found = boots((1, "ok"))
    tables = found.tables() | {"runs": found.runs.assign(accel=accel)}
    context = Context.of(type(found).of(tables, found.lock))
    assert context.unit("time") == unit and context.unit("work") == COUNTED


def test_groups_have_every_cell_once(scale):
    groups = list(scale.groups())
    cells = [cell for _, _, mine in groups for cell in mine]
    assert sorted(cells) == sorted(scale.chosen) and len({g[:2] for g in groups}) == len(groups)
    assert all(cell[1:] == (machine, clock) for clock, machine, mine in groups for cell in mine)
