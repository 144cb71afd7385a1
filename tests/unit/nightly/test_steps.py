# SPDX-License-Identifier: GPL-2.0-only
"""New levels of a noisy series."""

import numpy as np

from harness.compare.verdict import Interest
from harness.nightly.steps import steps

INTEREST = Interest(0.02, 0.005)


def test_one_odd_night_is_no_step_and_two_are():
    values = [2 + 0.01 * (n % 3) for n in range(30)]
    values[21] = 4.0  # the night before it lies to the same side of the median
    assert steps(values, INTEREST) == []
    values[22:] = [4.0 + 0.01 * (n % 3) for n in range(8)]
    (step,) = steps(values, INTEREST)
    assert (step.start, step.found) == (21, 22)


def test_two_odd_nights_to_either_side_are_no_step():
    values = [2 + 0.01 * (n % 3) for n in range(30)]
    values[20], values[21] = 4.0, 1.0
    assert steps(values, INTEREST) == []


def test_nothing_is_called_before_the_spread_is_known():
    values = [2.0, 2.01, 1.99, 4.0, 4.0, 4.0]
    assert steps(values, INTEREST) == []


def test_a_slow_creep_becomes_a_step():
    draw = np.random.default_rng(2)
    values = 2 * np.exp(np.linspace(0, 0.2, 300) + draw.normal(0, 0.01, 300))
    assert steps(list(values), INTEREST)
