# SPDX-License-Identifier: GPL-2.0-only
"""New levels of a noisy series, and of one that hardly varies."""

import numpy as np
import pytest

from harness.compare.verdict import Interest
from harness.nightly.steps import jumps, steps

INTEREST = Interest(0.02, 0.005)
MIB = 1 << 20


def hanging(rho: float, nights: int, seed: int) -> np.ndarray:
    """Nights that hang together, with a standard deviation of 2 %."""
    draw = np.random.default_rng(seed)
    found = draw.normal(0, 0.02, nights)
    for night in range(1, nights):
        found[night] = rho * found[night - 1] + np.sqrt(1 - rho**2) * found[night]
    return 2 * np.exp(found)


def test_odd_nights_are_no_step_and_a_week_is():
    values = [2 + 0.01 * (n % 3) for n in range(40)]
    values[21], values[22], values[25] = 4.0, 4.0, 1.0
    assert steps(values, INTEREST) == []
    values[28:] = [4.0 + 0.01 * (n % 3) for n in range(12)]
    (step,) = steps(values, INTEREST)
    assert step.start == 28 and step.found <= 36
    assert (step.before, step.after) == pytest.approx((2.01, 4.01), rel=0.01)


def test_a_step_is_called_once_and_the_way_back_is_another():
    values = [2 + 0.01 * (n % 3) + (20 <= n < 60) for n in range(120)]
    assert [step.start for step in steps(values, INTEREST)] == [20, 60]


@pytest.mark.parametrize("rho", [0.5, 0.7])
def test_nights_that_hang_together_are_no_steps(rho):
    """Two nights in a row that are off make 2.5 and 9.4 false alarms a year of it."""
    assert not any(steps(hanging(rho, 365, seed), INTEREST) for seed in range(3))
    values = hanging(rho, 80, 4)
    values[60:] *= 1.15
    assert any(abs(step.start - 60) < 3 for step in steps(values, INTEREST))


def test_figures_that_do_not_vary_have_steps_too():
    (step,) = steps([2.0] * 20 + [2.2] * 12, INTEREST)
    assert step.start == 20
    assert steps([2.0] * 20 + [2.02] * 12, INTEREST) == []  # 1 % is of no interest


def test_nothing_is_called_before_the_spread_is_known():
    values = [2.0, 2.01, 1.99, 4.0, 4.0, 4.0]
    assert steps(values, INTEREST) == []


def test_another_instrument_is_a_new_level():
    values = [2 + 0.01 * (n % 3) for n in range(20)] + [4 + 0.01 * (n % 3) for n in range(20)]
    assert steps(values, INTEREST, {20}) == []
    assert jumps(values, INTEREST, 0.1, {20}) == []


def test_a_slow_creep_becomes_a_step():
    draw = np.random.default_rng(2)
    values = 2 * np.exp(np.linspace(0, 0.2, 300) + draw.normal(0, 0.01, 300))
    assert steps(list(values), INTEREST)


def test_memory_is_off_on_its_first_night_beyond_interest_and_floor():
    interest = Interest(0.02, 16 * MIB)
    level = [1000 * MIB, 1004 * MIB, 1001 * MIB]
    assert jumps([*level, 1024 * MIB], interest, 4 * MIB) == []
    (step,) = jumps([*level, 1026 * MIB, 1025 * MIB], interest, 4 * MIB)
    assert (step.start, step.found, step.after) == (3, 3, 1026 * MIB)
