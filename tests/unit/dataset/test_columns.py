# SPDX-License-Identifier: GPL-2.0-only
"""Every column has its type, its unit and its meaning."""

import pandas as pd
import pytest

import harness
from harness.dataset.columns import DTYPES, TABLES
from tests.support.checkout import ROOT


@pytest.mark.parametrize("name", ["quick", "scale", "gate"])
def test_every_column_has_its_type(name: str) -> None:
    found = harness.load(ROOT / "results/reference" / name)
    for table, columns in TABLES.items():
        frame = getattr(found, table)
        assert list(frame.columns) == [c.name for c in columns]
        for column in columns:
            assert frame[column.name].dtype == pd.Series(dtype=DTYPES[column.type]).dtype
    assert found.lock is not None and found.lock.experiment.name == name
    assert found.phases["duration_s"][found.phases["clock"] == "work"].isna().all()


def test_units_and_meanings_are_those_of_the_columns() -> None:
    about = harness.describe("phases")
    assert about.loc["ns_per_page", "unit"] == "ns/page"
    assert (about["meaning"] != "").all() and len(about) == len(TABLES["phases"])
