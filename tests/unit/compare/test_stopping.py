# SPDX-License-Identifier: GPL-2.0-only
"""Whether to add blocks: the schedule of looks, and what is seen there."""

import pytest

from harness.compare.stopping import look, parse_width, schedule
from harness.errors import UserError
from harness.model.experiment import Experiment
from tests.support.synthetic import Recipe, make


def experiment(blocks: int = 3, clock: str = "time") -> Experiment:
    group = {"variants": ["base", "new"], "machines": ["small"]}
    matrix = [{**group, "clocks": {clock: {"blocks": blocks}}}]
    data = {"name": "e", "description": "d", "baseline": "base", "matrix": matrix}
    return Experiment.parse(data, "e")


@pytest.mark.parametrize(
    ("own", "looks"),
    [(3, [6, 12, 24, 48]), (8, [8, 12, 24, 48]), (24, [24, 48]), (100, [100])],
)
def test_looks_are_fixed_and_never_below_the_experiment(own: int, looks: list[int]) -> None:
    assert list(schedule(experiment(own))) == looks


def test_without_the_time_clock_there_is_nothing_to_wait_for() -> None:
    with pytest.raises(UserError, match="time clock"):
        list(schedule(experiment(clock="work")))


@pytest.mark.parametrize(("noise", "reached"), [(0.002, True), (0.2, False)])
def test_a_look_sees_the_widest_interval(noise: float, reached: bool) -> None:
    made = make(Recipe({"base": 1.0, "base@2": 1.0, "new": 0.5}, noise=noise))
    seen = look(made, experiment(), "boot", 0.02, 8)
    assert [(w.variant, w.blocks) for w in seen.widths] == [("new", 8)]
    assert seen.reached == reached
    assert str(seen).startswith("look at 8 blocks, boot: widest is ±")


def test_where_nothing_boots_there_is_nothing_to_compare_and_nothing_is_reached() -> None:
    failed = frozenset(("new", block) for block in range(8))
    seen = look(
        make(Recipe({"base": 1.0, "new": 1.0}, failed=failed)), experiment(), "boot", 0.02, 8
    )
    assert not seen.reached and not seen.widths and "nothing to compare" in str(seen)


def test_two_blocks_have_no_interval() -> None:
    few = look(make(Recipe({"base": 1.0, "new": 1.0}, blocks=2)), experiment(), "boot", 0.02, 2)
    assert not few.reached and "no interval (new on small)" in str(few)


def test_a_width_is_a_percentage() -> None:
    assert parse_width("2%") == 0.02 and parse_width(" 0.5 % ") == 0.005
    for wrong in ("2", "0%", "-1%", "100%", "x%"):
        with pytest.raises(UserError, match="not a width"):
            parse_width(wrong)
