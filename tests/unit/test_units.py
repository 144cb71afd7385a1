# SPDX-License-Identifier: GPL-2.0-only
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.units import GIB, TIB, exact_size, format_cpus, format_size, parse_cpus, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("64GiB", 64 * GIB), ("16 TiB", 16 * TIB), ("1.5GiB", 3 * GIB // 2), (4096, 4096), ("0", 0)],
)
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["64GB", "64g", "-1GiB", "", None, True, "1.0000000001KiB", "GiB"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_size(text)


@given(st.integers(0, 1 << 50))
def test_a_size_survives_yaml(size: int) -> None:
    assert parse_size(exact_size(size)) == size


def test_sizes_for_people() -> None:
    assert format_size(64 * GIB) == "64GiB" and format_size(1340 << 20) == "1.3GiB"


@given(st.sets(st.integers(0, 4095)))
def test_cpu_lists_round_trip(cpus: set[int]) -> None:
    assert set(parse_cpus(format_cpus(cpus))) == cpus


@pytest.mark.parametrize("text", ["3-1", "a", "1,,2", "-1", "0-99999", True])
def test_what_is_no_cpu_list_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_cpus(text)


def test_cpu_lists() -> None:
    assert parse_cpus("0-3,8") == (0, 1, 2, 3, 8)
    assert parse_cpus(None) == () == parse_cpus("")
    assert parse_cpus([0, "2-3"]) == (0, 2, 3)
