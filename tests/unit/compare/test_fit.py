# SPDX-License-Identifier: GPL-2.0-only
"""The line through sizes is that of scipy and numpy, wherever it is asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from harness.compare import claims
from harness.compare.fit import SIZES, STRAIGHT, fit

MEDIANS = st.dictionaries(
    st.integers(1, 1 << 14).map(lambda gib: gib << 30),
    st.floats(1, 1e5),
    min_size=SIZES,
    max_size=8,
)


@given(MEDIANS, st.integers(1, 1 << 16))
def test_the_line_has_the_least_relative_errors(medians: dict[int, float], gib: int) -> None:
    line = fit(medians)
    assert line is not None
    x = np.array(sorted(medians)) / 2**30
    y = np.array([medians[size] for size in sorted(medians)])
    slope, start = np.polyfit(x, y, 1, w=1 / y)
    near = 1e-6 * (abs(slope) * max(gib, x.max()) + abs(start))
    value, beyond = line.at(gib << 30)
    assert value == pytest.approx(start + slope * gib, abs=near, rel=1e-6)
    assert beyond == (not x.min() <= gib <= x.max())
    misses = (start + slope * x) / y - 1
    worst = float(np.max(np.abs(misses)))
    assert abs(line.misses[line.worst]) == pytest.approx(worst, rel=1e-3, abs=1e-6)
    if abs(worst - STRAIGHT) > 1e-3:
        assert line.straight == (worst <= STRAIGHT)


def test_points_that_no_line_can_hold_have_none() -> None:
    assert fit({1 << 30: 50729533.0, 2 << 30: 1.0, 3 << 30: 38745321.0}) is None


@given(MEDIANS, st.integers(1, 1 << 16))
def test_claims_follow_the_same_line_no_further_than_it_is_trusted(medians, gib) -> None:
    at, line = gib << 30, fit(medians)
    assert line is not None
    value, beyond = line.at(at)
    told = claims.line(medians, at)
    if not line.straight or (beyond and not line.trusted):
        assert told is None
    elif told is not None:
        assert told == (value, *line.interval(at)) and 0 < told[1] <= value <= told[2]


def test_a_claim_has_no_line_that_leaves_a_point_out() -> None:
    points = {size << 30: 10.0 * size for size in (1, 2, 4, 8)}
    assert claims.line(points, 16 << 30) == pytest.approx((160,) * 3)
    points[1 << 30] = 0.0
    assert fit(points) is not None and claims.line(points, 16 << 30) is None


def test_a_line_that_would_not_have_told_the_largest_size_is_not_followed() -> None:
    """A fixed cost hides a slope until the machine is large."""
    told = fit({size << 30: 5.0 + size for size in (4, 16, 64, 256)})
    assert told is not None and told.trusted and told.left_out == pytest.approx(0)
    late = fit({4 << 30: 100.0, 16 << 30: 101.0, 64 << 30: 105.0, 256 << 30: 140.0})
    assert late is not None and late.straight and not late.trusted
    assert late.left_out == pytest.approx(-0.137, abs=0.01)
    assert fit({size << 30: 5.0 + size for size in (4, 16, 64)}).trusted is False


def test_an_interval_of_what_is_expected_is_that_of_a_new_measurement() -> None:
    """With equal weights it is the textbook's."""
    x = np.array([1.0, 2.0, 3.0, 4.0])
    y = np.array([1000.0, 1000.1, 999.9, 1000.0])
    line = fit({int(size) << 30: value for size, value in zip(x, y, strict=True)})
    found = stats.linregress(x, y)
    s = np.sqrt(np.sum((y - found.intercept - found.slope * x) ** 2) / 2)
    reach = s * np.sqrt(1 + 1 / 4 + (8 - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    low, high = line.interval(8 << 30)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 2) * reach, rel=1e-3)


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
