# SPDX-License-Identifier: GPL-2.0-only
"""CSV files, there and back, and the dictionary of their columns."""

import json

import pandas as pd
import pytest

from harness.dataset import dataset
from tests.support.records import tabulated


@pytest.fixture
def found():
    return tabulated()


def test_the_data_dictionary_knows_every_column(ran):
    package = json.loads((ran / "datapackage.json").read_text())
    for resource in package["resources"]:
        head = (ran / resource["path"]).read_text().splitlines()[0].split(",")
        fields = resource["schema"]["fields"]
        assert head == [entry["name"] for entry in fields]
        assert all(entry["description"] for entry in fields)


def test_csv_reads_back_with_its_types(found, tmp_path):
    dataset.write(found, tmp_path)
    for name, table in dataset.load_tables(tmp_path).items():
        pd.testing.assert_frame_equal(table, found.tables()[name], check_exact=True)
