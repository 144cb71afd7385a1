# SPDX-License-Identifier: GPL-2.0-only
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.units import (
    GIB,
    TIB,
    amount,
    exact_size,
    format_cpus,
    format_size,
    parse_cpus,
    parse_size,
)

WRONG_SIZES = (
    *("64GB", "64g", "-1GiB", "", None, True, "1.0000000001KiB", "GiB", "64GiB\nx", "٣GiB"),
    *(-134217728, 1 << 63, 10**400, "9" * 400, "9" * 5000 + "GiB", "9999999TiB", float("inf")),
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64GiB", 64 * GIB), ("16 TiB", 16 * TIB), ("1.5GiB", 3 * GIB // 2), (4096, 4096), ("0", 0)],
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", WRONG_SIZES)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_size(text)


@given(st.integers(0, 1 << 50))
def test_a_size_survives_yaml(size: int) -> None:
    assert parse_size(exact_size(size)) == size


def test_sizes_for_people() -> None:
    assert format_size(64 * GIB) == "64GiB" and format_size(1340 << 20) == "1.3GiB"
    assert format_size(1408 * GIB) == "1.375TiB", "the size of a machine, not of another one"


@given(st.sets(st.integers(0, 4095)))
def test_cpu_lists_round_trip(cpus: set[int]) -> None:
    assert set(parse_cpus(format_cpus(cpus))) == cpus


@pytest.mark.parametrize(
    "text", ["3-1", "a", "1,,2", "-1", "0-99999", True, -1, "٣", "0-" + "9" * 5000, 10**400, [-1]]
)
def test_what_is_no_cpu_list_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_cpus(text)


def test_cpu_lists() -> None:
    assert parse_cpus("0-3,8") == (0, 1, 2, 3, 8)
    assert parse_cpus(None) == () == parse_cpus("")
    assert parse_cpus([0, "2-3"]) == (0, 2, 3)


@pytest.mark.parametrize(
    ("value", "metric", "text", "exact"),
    [
        (None, "duration_s", "-", "-"),
        (0.0000421, "duration_s", "42.1 µs", "42.1 µs"),
        (0.25, "busy_s", "250 ms", "250 ms"),
        (61.5, "duration_s", "61.50 s", "61.50 s"),
        (6122.84, "ns_per_page", "6123 ns", "6123 ns"),
        (15690.0, "ns_per_page", "15.69 µs", "15.69 µs"),
        (6122.84, "instructions_per_page", "6123", "6123"),
        (455_300_001, "instructions", "455.3 M", "455,300,001 instructions"),
        (12.5e12, "instructions", "12,500 G", "12,500,000,000,000 instructions"),
        (-(3 << 29), "host_rss_grown_bytes", "-1.5GiB", "-1,536.0MiB"),
    ],
)
def test_a_value_has_its_unit(value: float | None, metric: str, text: str, exact: str) -> None:
    assert amount(value, metric) == text
    assert amount(value, metric, exact=True) == exact


@given(st.floats(1e-5, 1e13), st.sampled_from(["duration_s", "ns_per_page", "instructions"]))
def test_what_is_shown_is_the_value_to_three_digits(value: float, metric: str) -> None:
    number, _, unit = amount(value, metric).partition(" ")
    scale = {"µs": 1e-6, "ms": 1e-3, "s": 1, "ns": 1e-9, "k": 1e3, "M": 1e6, "G": 1e9, "": 1}[unit]
    shown = float(number.replace(",", "")) * scale / (1e-9 if metric.startswith("ns") else 1)
    assert shown == pytest.approx(value, rel=0.006)


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (None, "duration_s", "-"),
        (0.0000123, "duration_s", "12.3 µs"),
        (0.0123, "duration_s", "12.3 ms"),
        (12.345, "duration_s", "12.35 s"),
        (1234.5, "duration_s", "1234 s"),
        (455_300_000, "instructions", "455.3 M"),
        (27.15, "instructions_per_page", "27.15"),
        (1 << 30, "host_rss_peak_bytes", "1GiB"),
    ],
)
def test_amounts_have_units(value, metric, text):
    from harness.units import amount

    assert amount(value, metric) == text
