# SPDX-License-Identifier: GPL-2.0-only
"""A dataset in pandas, and the notebook that shows how."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.dataset import dataset
from harness.dataset.tables import to_csv
from harness.errors import HostError, ResultsError
from harness.files import write_atomic
from harness.results.folder import Results, to_json
from tests.support.checkout import ROOT
from tests.support.records import EVIL, lock, stored


def notebook(*words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, ROOT / "tools/notebook", *words]
    return subprocess.run(argv, capture_output=True, text=True)


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="collate"):
        harness.load(tmp_path)


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


def test_order_of_runs_does_not_matter():
    runs = [stored(("eager", "m1", "time"), block, 1 + block) for block in range(3)]
    one, two = (dataset.tabulate(r, lock()) for r in (runs, runs[::-1]))
    for name in ("runs", "phases", "probes", "summary"):
        assert to_csv(getattr(one, name)) == to_csv(getattr(two, name))


def test_a_folder_read_in_parts_gives_the_same_tables(tmp_path):
    # As folders the warm-up comes last and block 1000 before block 101; as rows they do not.
    for block in (-1, 2, 101, 1000):
        item = stored(("eager", "m1", "time"), block, 1 + abs(block), "panic", EVIL)
        run = item.run.model_copy(update={"warmup": block < 0})
        folder = tmp_path / "runs/eager/m1/time" / ("warmup" if block < 0 else f"{block:03d}")
        folder.mkdir(parents=True)
        write_atomic(folder / "run.json", to_json(run))
    whole = dataset.collate(Results(tmp_path))
    assert list(whole.runs["block"]) == [-1, 2, 101, 1000]
    parts = dataset.collate(Results(tmp_path), batch=1)
    for name, table in whole.tables().items():
        assert to_csv(parts.tables()[name]) == to_csv(table)
    assert parts.excerpts == whole.excerpts


def whoami(number: int) -> tuple[int, int]:
    return number, os.getpid()


def fail(number: int) -> None:
    raise ValueError(number)


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_many_items_are_done_in_processes_and_in_order():
    found = dataset.each(whoami, range(20), 2)
    assert [number for number, _ in found] == list(range(20))
    assert os.getpid() not in {pid for _, pid in found}


def test_one_item_is_done_here():
    assert dataset.each(whoami, [7], 2) == [(7, os.getpid())]
    assert dataset.each(whoami, [], 2) == []


def test_an_error_of_a_worker_is_ours():
    with pytest.raises(ValueError, match="0"):
        dataset.each(fail, range(4), 2)


def test_a_killed_worker_is_an_error_that_says_so():
    with pytest.raises(HostError, match="killed"):
        dataset.each(die, range(4), 2)
