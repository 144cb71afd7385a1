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


@given(MEDIANS, st.integers(1, 1 << 16), st.booleans())
def test_claims_extrapolate_along_the_same_line(medians, gib, nothing) -> None:
    at, line = gib << 30, fit(medians)
    assert line is not None
    if nothing:
        medians[min(medians)] = 0.0
    want = line.at(at)[0] if line.straight and not nothing else None
    assert claims.line(medians, at) == want


def test_a_claim_has_no_line_that_leaves_a_point_out() -> None:
    points = {size << 30: 10.0 * size for size in (1, 2, 4, 8)}
    assert claims.line(points, 16 << 30) == pytest.approx(160)
    points[1 << 30] = 0.0
    assert fit(points) is not None and claims.line(points, 16 << 30) is None


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
