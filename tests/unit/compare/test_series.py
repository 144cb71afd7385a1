# SPDX-License-Identifier: GPL-2.0-only
"""The figures that are compared, block by block."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.compare.series import NAMES, RSS, Series, Subject, pair, series_of
from harness.errors import UserError
from harness.units import GIB
from tests.support.synthetic import MACHINES, Recipe, make

tables = st.dictionaries(st.integers(0, 30), st.floats(0, 1e6), max_size=20)


def series(found):
    return Series(np.array(sorted(found), dtype=int), np.array([found[b] for b in sorted(found)]))


@given(mine=tables, theirs=tables)
def test_pairs_are_the_blocks_that_both_have_and_no_zero_among_them(mine, theirs):
    a, b = pair(series(mine), series(theirs))
    both = [n for n in sorted(mine.keys() & theirs.keys()) if mine[n] > 0 and theirs[n] > 0]
    assert a.tolist() == [mine[n] for n in both] and b.tolist() == [theirs[n] for n in both]


def test_of_a_block_that_booted_twice_the_first_boot_is_taken():
    twice = Series(np.array([0, 0, 1]), np.array([1.0, 9.0, 2.0]))
    once = Series(np.array([0, 1]), np.array([4.0, 5.0]))
    assert [part.tolist() for part in pair(twice, once)] == [[1.0, 2.0], [4.0, 5.0]]


@given(values=st.lists(st.integers(1, 5), min_size=1))
def test_a_series_is_exact_where_every_repeat_is_the_same(values):
    found = Series(np.arange(len(values)), np.array(values, dtype=float))
    assert found.exact == (len(set(values)) == 1)
    assert found.median == pytest.approx(float(np.median(values)))


def test_every_subject_has_its_variants_in_the_order_of_blocks():
    made = make(Recipe({"base": 1.0, "new": 0.5}, blocks=5, machines=tuple(MACHINES), noise=0.1))
    shuffled = made.phases.sample(frac=1, random_state=1)
    found = series_of(type(made).of(made.tables() | {"phases": shuffled}))
    want = series_of(made)
    assert list(found) == list(want)
    for subject, variants in want.items():
        for name, each in variants.items():
            assert found[subject][name].blocks.tolist() == each.blocks.tolist() == [0, 1, 2, 3, 4]
            assert found[subject][name].values.tolist() == each.values.tolist()
    assert Subject("small", "time", RSS, RSS) in found
    order = [MACHINES[s.machine] for s in found if s.name == "boot"]
    assert order == sorted(order) == [4 * GIB, 16 * GIB, 64 * GIB]


def test_a_name_that_there_is_not_is_answered_with_those_that_there_are():
    made = make(Recipe({"base": 1.0}))
    with pytest.raises(UserError, match="no metric called 'speed'") as error:
        series_of(made, ["boot", "speed"])
    assert error.value.remedy == f"there are: boot, memmap_init, {RSS}"
    assert {s.name for s in series_of(made, ["boot"])} == {"boot"}


def test_marks_come_before_what_was_printed():
    made = make(Recipe({"base": 1.0}, blocks=2))
    printed = made.phases.assign(source="printk", duration_s=99.0)
    both = pd.concat([made.phases, printed], ignore_index=True)
    found = series_of(type(made).of(made.tables() | {"phases": both}))
    (values,) = [v["base"].values.tolist() for s, v in found.items() if s.name == "boot"]
    assert 99.0 not in values and len(values) == 2
    alone = series_of(type(made).of(made.tables() | {"phases": printed}))
    (values,) = [v["base"].values.tolist() for s, v in alone.items() if s.name == "boot"]
    assert values == [99.0, 99.0]


def test_phases_of_nodes_alone_are_from_the_first_start_to_the_last_end():
    made = make(Recipe({"base": 1.0}, blocks=1, phases={"deferred_init": 1.0}))
    nodes = pd.concat(
        [made.phases.assign(node=n, start_s=n * 1.0, end_s=n * 1.0 + 2, duration_s=2.0)
         for n in range(3)], ignore_index=True,
    )  # fmt: skip
    found = series_of(type(made).of(made.tables() | {"phases": nodes}))
    (values,) = [v["base"].values.tolist() for s, v in found.items() if s.name == "deferred_init"]
    assert values == [4.0]


def test_names_are_there_once():
    assert len(set(NAMES)) == len(NAMES)
