# SPDX-License-Identifier: GPL-2.0-only
"""CSV files, there and back, and the dictionary of their columns."""

import json

import pandas as pd
import pytest

from harness.dataset import dataset, tables
from harness.dataset.columns import KEYS, RUN_ID, Column
from tests.support.checkout import ROOT
from tests.support.records import tabulated


@pytest.fixture
def found():
    return tabulated()


def test_the_data_dictionary_knows_every_column(ran):
    package = json.loads((ran / "datapackage.json").read_text())
    for table in package["resources"]:
        head = (ran / table["path"]).read_text().splitlines()[0].split(",")
        fields = table["schema"]["fields"]
        assert head == [entry["name"] for entry in fields]
        assert all(entry["description"] for entry in fields)


def test_csv_reads_back_with_its_types(found, tmp_path):
    dataset.write(found, tmp_path)
    for name, table in dataset.load_tables(tmp_path).items():
        pd.testing.assert_frame_equal(table, found.tables()[name], check_exact=True)


def test_a_column_that_came_later_is_in_no_file_where_nothing_is_in_it(found, tmp_path):
    """Old evidence gives the bytes that it gave."""
    for told, value in ((False, pd.NA), (True, 7)):
        found.phases["idle"] = pd.array([value] * len(found.phases), dtype="Int64")
        dataset.write(found, tmp_path)
        head = (tmp_path / "phases.csv").read_text().splitlines()[0].split(",")
        package = json.loads((tmp_path / "datapackage.json").read_text())
        (fields,) = (r["schema"]["fields"] for r in package["resources"] if r["name"] == "phases")
        assert ("idle" in head) is told and head == [entry["name"] for entry in fields]
        assert dataset.load_tables(tmp_path)["phases"]["idle"].notna().all() == told


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-x", "@sum", "'=1", "''@", "plain", "'plain", "a=b"]
)
def test_no_cell_is_a_formula_and_none_is_changed(text):
    columns = (Column("name", "string", "x"), Column("value", "integer", "x"))
    data = tables.to_csv(tables.frame([{"name": text, "value": -1}], columns))
    cell = data.decode().splitlines()[1]
    assert cell.endswith(",-1") and cell[0] not in "=+-@"
    assert tables.from_csv(data, columns)["name"].tolist() == [text]


def test_the_keys_of_a_package_hold_in_the_committed_datasets():
    for folder in sorted((ROOT / "results/reference").glob("*/runs.csv")):
        found = dataset.load_tables(folder.parent)
        runs = found["runs"]
        assert not runs.duplicated(list(KEYS["runs"])).any(), folder
        for name in RUN_ID:
            assert set(found[name]["run_id"].dropna()) <= set(runs["run_id"]), folder
    schema = tables.resource("phases", b"\n")["schema"]
    reference = {"resource": "runs", "fields": "run_id"}
    assert schema["foreignKeys"] == [{"fields": "run_id", "reference": reference}]
    assert tables.resource("runs", b"\n")["schema"]["primaryKey"] == ["run_id", "attempt"]
