# SPDX-License-Identifier: GPL-2.0-only
"""A year of nights with known steps: what is called a change, and of what."""

from dataclasses import replace

import pytest

from harness.nightly.changes import Tolerance, changes, moved, status
from harness.nightly.history import FailedBoot, History
from tests.support.nights import REAL, SHAPES, Year, make


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_of_a_year_are_found_in_ten_nights_and_nothing_else_is(shape):
    """Four steps of 20 %, up and down."""
    known = {60: 1.2, 130: 1.2, 200: 1 / 1.2, 290: 1.2}
    year = Year(seconds={"boot": 2.0}, steps={"boot": known}, shape=shape, seed=7)
    found = [c for c in changes(make(year), Tolerance()) if c.kind == "step"]
    assert [c.night for c in found] == [night + 1 for night in known]
    assert all(c.found <= c.night + 10 for c in found)
    assert [c.regression for c in found] == [factor > 1 for factor in known.values()]
    assert [c.ratio for c in found] == pytest.approx(list(known.values()), rel=0.1)


def test_a_year_without_a_step_raises_no_alarm():
    year = Year(seconds={"boot": 2.0}, seed=3)
    assert not changes(make(year), Tolerance())


def test_another_qemu_begins_a_level_and_nobody_is_blamed():
    year = Year(nights=60, seconds={"boot": 2.0}, steps={"boot": {30: 1.5}}, noise=0.01, seed=4)
    blamed = replace(year, inputs={30: {"base": "6.12.2-1"}})
    assert [c.inputs for c in changes(make(blamed), Tolerance())] == [
        ("base: 6.12.1-1 -> 6.12.2-1",)
    ]
    moved_qemu = replace(year, inputs={30: {"qemu_version": "8.0"}})
    assert changes(make(moved_qemu), Tolerance()) == []


def test_every_change_of_a_count_is_named_with_the_inputs_that_changed():
    year = Year(
        nights=8,
        variants=("eager", "lazy"),
        counts={"memmap_init": 5_000_000},
        steps={"memmap_init": {3: 1.000002, 5: 1.5}},
        inputs={
            3: {"variant eager tree": "c" * 40},
            5: {"base": "6.12.2-1", "machine small": "m2"},
        },
    )
    found = changes(make(year), Tolerance())
    assert [(c.variant, c.night, c.before, c.after, c.regression) for c in found] == [
        ("eager", 4, 5_000_000, 5_000_010, False),
        ("lazy", 4, 5_000_000, 5_000_010, False),
        ("eager", 6, 5_000_010, 7_500_015, True),
        ("lazy", 6, 5_000_010, 7_500_015, True),
    ]
    assert found[0].inputs == (f"variant eager tree: {'a' * 12} -> {'c' * 12}",)
    assert found[1].inputs == ()
    assert found[2].inputs == ("base: 6.12.1-1 -> 6.12.2-1", "machine small: m1 -> m2")
    assert [status(found, n) for n in range(1, 9)] == [0, 0, 0, 0, 0, 1, 0, 0]


def test_small_growth_of_a_count_adds_up_to_a_regression():
    factors = dict.fromkeys(range(1, 10), 1.004)
    year = Year(nights=10, counts={"boot": 100_000_000}, steps={"boot": factors})
    found = changes(make(year), Tolerance())
    assert len(found) == 9
    assert [c.night for c in found if c.regression] == [4, 7, 10]


def test_a_night_that_was_better_by_accident_makes_no_regression_of_the_next():
    steps = {"boot": {3: 0.9, 4: 1 / 0.9}, "initcalls": {3: 0.9, 6: 1 / 0.9}}
    year = Year(nights=8, counts={"boot": 10**8, "initcalls": 10**8}, steps=steps)
    found = changes(make(year), Tolerance())
    assert [(c.subject.name, c.night, c.regression) for c in found] == [
        ("boot", 4, False),
        ("initcalls", 4, False),
        ("boot", 5, False),
        ("initcalls", 7, True),
    ]


def test_a_boot_that_fails_is_red_every_night_and_one_that_the_host_shot_is_the_hosts():
    about = {"variant": "eager", "machine": "small", "clock": "work", "block": 0}
    panic, shot = (FailedBoot(outcome=name, **about) for name in ("panic", "killed"))
    year = Year(nights=4, counts={"boot": 10**6}, failures={1: panic, 2: panic, 3: shot})
    found = changes(make(year), Tolerance())
    assert [status(found, n) for n in (1, 2, 3, 4)] == [0, 1, 1, 2]


def test_a_figure_that_is_gone_is_a_regression():
    nights = make(Year(nights=2, counts={"boot": 10**6, "memmap_init": 10**6}))
    nights[1] = nights[1].model_copy(update={"figures": nights[1].figures[:1]})
    (found,) = changes(nights, Tolerance())
    assert (found.kind, found.subject.name, found.regression) == ("missing", "memmap_init", True)


def test_a_phase_that_a_kernel_may_do_without_is_a_change_when_it_is_gone():
    nights = make(Year(nights=2, counts={"boot": 10**6, "deferred_init": 10**6}))
    nights[1] = nights[1].model_copy(update={"figures": nights[1].figures[:1]})
    (found,) = changes(nights, Tolerance())
    assert (found.kind, found.subject.name, found.regression) == ("missing", "deferred_init", False)


def test_inputs_of_all_that_moved():
    old, new = make(Year(nights=2, inputs={1: {"host": "other", "base": "2"}}))
    assert moved(old, new) == ("base: 6.12.1-1 -> 2", "host: h -> other")


def test_six_real_nights_say_what_was_planted():
    nights, damage = History(REAL / "history").read()
    assert not damage
    found = changes(nights, Tolerance())
    assert [status(found, n) for n in range(1, 7)] == [0, 0, 1, 0, 1, 0]
    worse = {(c.found, c.variant, c.inputs) for c in found if c.regression}
    assert worse == {
        (3, "grow", ("variant grow tree: 301e9290100a -> 8fd4c543f925",)),
        (5, "lazy", ("variant lazy boot: deferred_init=lazy -> ",)),
    }
    assert "memmap_init" in {c.subject.name for c in found if c.regression and c.found == 3}
    counts = [{(f.subject, f.variant): f.value for f in n.figures if f.exact} for n in nights]
    assert counts[0] == counts[1] and len(counts[0]) == 57
    assert counts[5] == counts[0]
