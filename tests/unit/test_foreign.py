# SPDX-License-Identifier: GPL-2.0-only
"""The one reader of foreign JSON and YAML: small, flat and finite values, or an error, at once."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import foreign
from harness.errors import UserError
from harness.foreign import check, fits, read_json, read_yaml, tame

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "text",
    [
        '{"\\ud800": 1}',
        '{"a": ["\\udfff"]}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\xff"}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e400}',
        '{"a": 1e30}',
        '{"a": 9223372036854775808}',
        '{"a": [-9223372036854775809]}',
        '{"a": ' + "9" * 400 + "}",
        '{"a": ' + "9" * 100_000 + "}",
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 300 + "]" * 300,
        "",
        "\0" * 9,
        "{",
    ],
)
def test_what_no_record_may_say_is_an_error_of_a_few_words(text):
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ValueError, match=r"^.{3,100}$"):
        read_json(data)


def test_a_document_has_a_limit_of_size():
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        read_json(b'"' + b"a" * (1 << 20) + b'"', 1 << 20)
    with pytest.raises(UserError, match="larger than 512 KiB"):
        read_yaml("a" * (1 << 20), "x")


@given(value=JSON)
def test_tame_values_fit_and_can_be_written(value):
    found = tame(value)
    json.dumps(found, allow_nan=False)
    if found == value:
        return
    with pytest.raises(ValueError, match="beyond 64 bits"):
        check(value)


@pytest.mark.parametrize(
    ("number", "there"),
    [
        (1 << 63, False),
        ((1 << 63) - 1, True),
        (-(1 << 63), True),
        (10**400, False),
        (1e308, True),
        (float("inf"), False),
        (True, True),
    ],
)
def test_what_fits(number, there):
    assert fits(number) == there


def test_a_number_that_does_not_fit_is_the_begin_of_its_text():
    assert tame({"a": [10**300, 1 << 64, float("inf"), 7]}) == {
        "a": ["1" + "0" * 39, "18446744073709551616", "inf", 7]
    }


LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join(6 * [f'*a{n - 1}'])}]\n" for n in range(1, 20)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, "line 8: unfolds to more than 200,000 values"),
        (LAUGHS.replace("[x]", "{x: 1}").replace(": &", ": &").replace(" [*", " {<<: [*")
         .replace("]\n", "]}\n"), "unfolds to more"),
        ("&a [*a]", "unfolds to more"),
        ("&a {<<: *a}", "unfolds to more"),
        ('"\\ud800"', "half a surrogate pair"),
        ("a: " + "9" * 400, "line 1: a number of 400 digits"),
        ("a: 0x" + "f" * 100_000, "a number of 100002 digits"),
        ("a: " + "1:" * 400 + "1", "a number of 801 digits"),
        ("a: {<<: {b: " * 20_000, "not YAML"),
        ("[" * 200_000, "nests too deep"),
        ("- " * 100_000, "nests too deep"),
    ],
)  # fmt: skip
def test_yaml_that_unfolds_to_much_is_an_error_at_once(text, why):
    begun = time.process_time()
    with pytest.raises(UserError, match=why) as caught:
        read_yaml(text, "x.yaml")
    assert caught.value.where == "x.yaml"
    assert time.process_time() - begun < 5


def test_yaml_may_refer_and_merge():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n"
    assert read_yaml(text, "x")["b"] == {"x": 1, "y": 3}
    assert read_yaml("", "x") is None
    assert foreign.MAX_NODES > 10_000


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("17", 17),
        ("9" * 19, None),
        ("9" * 5000, None),
        ("²", None),
        ("٣", None),
        ("-1", None),
        ("", None),
        ("max", None),
        ("9223372036854775807", (1 << 63) - 1),
    ],
)
def test_a_whole_number_of_the_system_has_64_bits(text, number):
    assert foreign.whole(text) == number


@given(number=st.integers(-(10**40), 10**40) | st.floats(), indent=st.none() | st.integers(0, 2))
def test_no_number_that_is_large_is_overlooked(number, indent):
    for data in (
        json.dumps({"a": [1, number], "b": number}, indent=indent).encode(),
        json.dumps([number], separators=(",", ":")).encode().replace(b"e+", b"E"),
        json.dumps(number).encode(),
    ):
        try:
            check(json.loads(data))
        except ValueError:
            assert foreign.may_be_large(data)
    assert not foreign.may_be_large(b'{"hash": "0a1e45f0e99", "x": 12.5e-07}')
