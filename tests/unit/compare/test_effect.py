# SPDX-License-Identifier: GPL-2.0-only
"""Statistics against textbooks, and against scipy's own where it has them."""

import numpy as np
import pytest
from scipy import optimize, stats

from harness.compare import effect, verdict
from harness.compare.effect import (
    Effect,
    adjusted,
    centre,
    needed,
    paired,
    shift,
    sign_flip,
    unpaired,
)
from harness.compare.fit import fit
from harness.compare.verdict import Interest, decide

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


BOUNDS = Interest(0.02, 0.005).bounds(1.0)


def an_effect(estimate: float, low: float, high: float, p: float = 0.01, n: int = 8) -> Effect:
    return Effect(n, estimate, low, high, p, "sign-flip")


@pytest.mark.parametrize(
    ("seen", "word", "more"),
    [
        (an_effect(-0.10, -0.12, -0.08), "faster", None),
        (an_effect(0.10, 0.08, 0.12), "slower", None),
        (an_effect(0.10, 0.08, 0.12, p=0.06), "inconclusive", 1),
        (an_effect(0.00, -0.01, 0.01), "equivalent", None),
        (an_effect(0.01, 0.005, 0.015), "equivalent", None),  # real, and of no interest
        (an_effect(0.03, 0.005, 0.055), "inconclusive", 41),  # 8 * (0.025 / 0.0102)^2 - 8
        (an_effect(-0.30, -0.31, -0.29, n=5, p=0.0625), "inconclusive", 1),
        (an_effect(-0.30, -0.31, -0.29, n=3, p=0.25), "inconclusive", 3),
        (Effect(1, -0.3, None, None, 1.0, "sign-flip"), "inconclusive", 5),
        (an_effect(0.0198, -0.2, 0.24, p=0.8), "inconclusive", None),  # more than 1000
    ],
)
def test_verdicts(seen: Effect, word: str, more: int | None) -> None:
    (found,) = decide([seen], [BOUNDS])
    assert (found.word, found.more_blocks) == (word, more)
    assert bool(found.why) == (word == "inconclusive")


def test_a_family_takes_more_than_one_test() -> None:
    good = an_effect(-0.10, -0.12, -0.08, p=0.03)
    noise = an_effect(0.0, -0.1, 0.1, p=0.9)
    assert decide([good], [BOUNDS])[0].word == "faster"
    found = decide([good, noise, noise, noise], [BOUNDS] * 4)[0]
    assert (found.word, found.adjusted_p) == ("inconclusive", pytest.approx(0.12))
    # Alone among 14 it needs p below 0.05 / 14, which 10 blocks can give.
    found = decide([good, *[noise] * 13], [BOUNDS] * 14)[0]
    assert (found.word, found.more_blocks) == ("inconclusive", 2)


@pytest.mark.parametrize(
    ("base", "value", "inside"),
    [
        (1.0, 0.99, True),  # 1 % and 10 ms
        (1.0, 0.97, False),
        (0.1, 0.096, True),  # 4 %, but 4 ms
        (0.1, 0.094, False),
        (0.004, 0.0001, True),  # all of it is less than 5 ms
        (0.004, 0.010, False),
    ],
)
def test_an_effect_of_interest_exceeds_both_a_part_and_an_amount(base, value, inside) -> None:
    low, high = Interest(0.02, 0.005).bounds(base)
    assert (low < np.log(value / base) < high) == inside


def test_more_than_many_blocks_are_not_counted() -> None:
    seen = an_effect(0.0203, -0.2, 0.24, p=0.8)
    assert verdict.decide([seen], [BOUNDS])[0].more_blocks is None


def test_a_line_is_the_weighted_one_of_scipy() -> None:
    sizes = {size << 30: 3.0 + size * 0.5 + wobble for size, wobble in
             ((4, 0.1), (16, -0.2), (64, 0.5), (256, -1.0))}  # fmt: skip
    line = fit(sizes)
    assert line is not None
    x, y = np.array(list(sizes)) / 2**30, np.array(list(sizes.values()))
    theirs, covariance = optimize.curve_fit(lambda x, a, b: a + b * x, x, y, sigma=y)
    assert (line.intercept, line.slope * 2**30) == pytest.approx(tuple(theirs))
    reach = stats.t.ppf(0.975, 2) * np.sqrt(np.diag(covariance))
    assert line.intercept_high - line.intercept == pytest.approx(reach[0], rel=1e-4)
    assert line.slope_high - line.slope == pytest.approx(reach[1] / 2**30, rel=1e-4)
    assert line.straight


def test_an_exact_line_is_found_and_extended_with_a_warning() -> None:
    line = fit({size << 30: 100 + 7 * (size << 30) for size in (4, 16, 64)})
    assert line is not None
    assert line.slope == pytest.approx(7) and line.intercept == pytest.approx(100, rel=1e-3)
    assert line.at(32 << 30) == (pytest.approx(100 + 7 * (32 << 30)), False)
    assert line.at(1 << 40)[1]


def test_a_curve_is_no_line_and_two_sizes_are_none() -> None:
    curve = fit({size << 30: float(size * size) for size in (4, 16, 64, 256)})
    assert curve is not None and not curve.straight
    assert fit({1 << 30: 1.0, 2 << 30: 2.0}) is None
    assert fit({1 << 30: 1.0, 2 << 30: 2.0, 4 << 30: 0.0}) is None
