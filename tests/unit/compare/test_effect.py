# SPDX-License-Identifier: GPL-2.0-only
"""Statistics against textbooks, and against scipy's own where it has them."""

import numpy as np
import pytest
from scipy import stats

from harness.compare import effect
from harness.compare.effect import (
    adjusted,
    centre,
    needed,
    paired,
    shift,
    sign_flip,
    unpaired,
)

# Heights of crossed less self-fertilised maize, in eighths of an inch: Darwin 1876, the example of
# Fisher, The Design of Experiments (1935), who found 863 of the 32768 sums as large.
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], dtype=float)

# Hollander and Wolfe, Nonparametric Statistical Methods, table 3.1: a scale of depression.
FIRST = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
SECOND = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])

# Benjamini and Hochberg (1995), section 3.2: four of fifteen are discoveries at 0.05.
PS = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
PS += [0.4262, 0.5719, 0.6528, 0.7590, 1.000]


def test_the_sign_flip_test_finds_fishers_863() -> None:
    assert sign_flip(DARWIN) == 2 * 863 / 32768


@pytest.mark.parametrize("size", [2, 6, 9, 12])
def test_the_sign_flip_test_is_that_of_scipy(size: int) -> None:
    values = np.random.default_rng(size).normal(0.3, 1, size)
    theirs = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert sign_flip(values) == pytest.approx(theirs.pvalue)


def test_nothing_different_is_p_1() -> None:
    same = np.ones(8)
    found = paired(same, same)
    assert (found.p, found.estimate, found.low, found.high) == (1, 0, 0, 0)
    assert paired(np.ones(20), np.ones(20)).p == 1


def test_the_centre_is_that_of_hollander_and_wolfe() -> None:
    assert centre(FIRST - SECOND) == pytest.approx(0.46)


def test_the_shift_is_the_median_of_all_differences() -> None:
    # Hollander and Wolfe, example 4.1: permeability at term and at 12 to 26 weeks.
    term = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
    weeks = np.array([1.15, 0.88, 0.90, 0.74, 1.21])
    assert shift(term, weeks) == pytest.approx(0.305)


def test_adjusted_p_are_those_of_benjamini_and_hochberg() -> None:
    found = adjusted(np.array(PS))
    assert (found < 0.05).sum() == 4
    assert found[3] == pytest.approx(0.0095 * 15 / 4)
    assert not len(adjusted(np.array([])))


@pytest.mark.parametrize(
    ("test", "alpha", "n"),
    [("sign-flip", 0.05, 6), ("sign-flip", 0.05 / 14, 10), ("Mann-Whitney", 0.05, 4)],
)
def test_so_many_blocks_are_needed_for_p_to_reach_alpha(test, alpha, n) -> None:
    assert needed(test, alpha) == n
    assert effect.smallest_p(test, n) < alpha <= effect.smallest_p(test, n - 1)


def test_the_smallest_p_is_what_the_tests_give() -> None:
    assert sign_flip(np.arange(1.0, 7.0)) == effect.smallest_p("sign-flip", 6) == 0.03125
    apart = unpaired(np.array([5.0, 6, 7, 8]), np.array([1.0, 2, 3, 4]))
    assert apart.p == pytest.approx(effect.smallest_p("Mann-Whitney", 4))


def test_above_sixteen_pairs_it_is_wilcoxons() -> None:
    draw = np.random.default_rng(3)
    values, base = np.exp(draw.normal(0.1, 0.2, (2, 17)))
    found = paired(values, base)
    assert found.test == "Wilcoxon" and paired(values[1:], base[1:]).test == "sign-flip"
    assert found.p == pytest.approx(stats.wilcoxon(np.log(values / base)).pvalue)


@pytest.mark.parametrize("n", [40, 200])
def test_the_interval_of_many_is_what_the_rank_test_does_not_reject(n: int) -> None:
    draw = np.random.default_rng(n)
    logs = draw.standard_t(3, n) / 10
    found = paired(np.exp(logs), np.ones(n))
    two = unpaired(np.exp(logs), np.exp(draw.normal(0, 0.1, n)))
    for end, outward in ((found.low, -1e-3), (found.high, 1e-3)):
        assert end is not None
        assert stats.wilcoxon(logs - end - outward).pvalue < 0.05
        assert stats.wilcoxon(logs - end + outward).pvalue > 0.05
    assert two.low is not None and two.high is not None and two.low < two.estimate < two.high


def test_the_interval_without_pairs_is_what_mann_and_whitney_do_not_reject() -> None:
    draw = np.random.default_rng(4)
    a, b = draw.normal(0.05, 0.1, 45), draw.standard_t(3, 60) / 10
    found = unpaired(np.exp(a), np.exp(b))
    for end, outward in ((found.low, -1e-3), (found.high, 1e-3)):
        assert end is not None
        assert stats.mannwhitneyu(a - end - outward, b).pvalue < 0.05
        assert stats.mannwhitneyu(a - end + outward, b).pvalue > 0.05


def test_the_level_of_few_values_is_hesterbergs() -> None:
    # Six values: sqrt(6 / 5) * 2.5706, of which the normal distribution leaves 0.00243 outside.
    assert effect._level(6) == pytest.approx(1 - 2 * 0.00243, abs=1e-5)


def test_the_interval_is_seeded_and_an_effect_does_not_depend_on_the_order_of_blocks() -> None:
    draw = np.random.default_rng(5)
    values, base = np.exp(draw.normal(0, 0.1, (2, 9)))
    assert paired(values, base) == paired(values, base)
    other = paired(values[::-1], base[::-1])
    assert other.estimate == pytest.approx(paired(values, base).estimate)


def test_the_small_interval_holds_what_it_says() -> None:
    """A plain percentile interval of six values would hold some 90 %."""
    draw = np.random.default_rng(11)
    held = plain = 0
    for _ in range(300):
        logs = draw.normal(0, 0.1, 6)
        found = paired(np.exp(logs), np.ones(6))
        held += found.low <= 0 <= found.high  # type: ignore[operator]
        low, high = stats.bootstrap(
            (logs,), centre, method="percentile", n_resamples=500, rng=np.random.default_rng(1)
        ).confidence_interval
        plain += low <= 0 <= high
    assert held >= 0.93 * 300 > plain
