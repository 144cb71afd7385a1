# SPDX-License-Identifier: GPL-2.0-only
"""A dataset in pandas, and the notebook that shows how."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.dataset.columns import DTYPES, TABLES
from harness.errors import ResultsError
from tests.support.checkout import ROOT


def notebook(*words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, ROOT / "tools/notebook", *words]
    return subprocess.run(argv, capture_output=True, text=True)


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


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="collate"):
        harness.load(tmp_path)


def test_units_and_meanings_are_those_of_the_columns() -> None:
    about = harness.describe("phases")
    assert about.loc["ns_per_page", "unit"] == "ns/page"
    assert (about["meaning"] != "").all() and len(about) == len(TABLES["phases"])


def test_the_cells_print_what_the_notebook_says() -> None:
    done = notebook("--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["print(1)"], "prints something else"),
        (["x = 1", "x + y"], "a cell failed"),
    ],
)
def test_a_stale_or_broken_notebook_is_found(tmp_path: Path, cells: list[str], said: str) -> None:
    file = tmp_path / "some.ipynb"
    made = [{"cell_type": "code", "source": [c], "outputs": [], "id": c} for c in cells]
    file.write_text(json.dumps({"cells": made}, indent=1) + "\n")
    done = notebook("--check", file)
    assert done.returncode == 1 and said in done.stdout
    if "else" in said:
        assert notebook(file).returncode == 0 and notebook("--check", file).returncode == 0


def test_the_python_of_the_document_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/analysis.md").read_text(), re.S)
    code = "\n".join(blocks)
    assert len(blocks) == 2
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "inconclusive" in done.stdout
