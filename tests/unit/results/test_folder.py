# SPDX-License-Identifier: GPL-2.0-only
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import ResultsError
from harness.files import write_atomic
from harness.model.schedule import Slot
from harness.results.folder import Results, newest, read_run, to_json
from tests.support.records import a_run

SLOT = Slot("eager", "tiny-2g", "time", 0, 0)


def test_a_finished_run_comes_back_equal(tmp_path: Path) -> None:
    results = Results(tmp_path)
    part, attempt = results.open_part(SLOT)
    assert attempt == 1 and not results.done(SLOT)
    folder = results.finish(part, a_run())
    assert results.done(SLOT) and folder == results.folder(SLOT)
    (stored,), damage = results.read()
    assert stored.run == a_run() and stored.folder == folder and not damage


def test_what_a_crash_left_is_kept_and_counts_as_an_attempt(tmp_path: Path) -> None:
    results = Results(tmp_path)
    part, _ = results.open_part(SLOT)
    (part / "console.log").write_text("half")
    part, attempt = results.open_part(SLOT)
    assert attempt == 2 and not list(part.iterdir())
    assert (part.parent / "000.attempt1" / "console.log").read_text() == "half"
    assert results.read() == ([], [])


def test_damaged_and_foreign_records_are_named_not_dropped(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for block, text in {
        "000": "{",
        "001": json.dumps({"schema_version": 99}),
        "002": json.dumps({"schema_version": 1, "run_id": "x"}),
        "003": "[]",
    }.items():
        write_atomic(tmp_path / "runs/v/m/time" / block / "run.json", text)
    runs, damage = results.read()
    assert not runs
    assert [d.path.parent.name for d in damage] == ["000", "001", "002", "003"]
    assert "99" in damage[1].reason


def test_a_second_start_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.results import Results\n"
        "from harness.errors import ResultsError\n"
        "try:\n  with Results(Path(sys.argv[1])).locked(): print('held')\n"
        "except ResultsError as e: print('refused', e.what)"
    )

    def other() -> str:
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        ).stdout

    with Results(tmp_path).locked():
        answer = other()
        assert answer.startswith("refused") and str(os.getpid()) in answer
    assert other() == "held\n"


def test_the_newest_folder_of_the_same_lock_is_found(tmp_path: Path) -> None:
    for name in ("20260101T000000Z-aa", "20260102T000000Z-aa", "20260103T000000Z-bb"):
        (tmp_path / "quick" / name).mkdir(parents=True)
    found = newest(tmp_path, "quick", "aa")
    assert found and found.path.name == "20260102T000000Z-aa"
    assert newest(tmp_path, "quick", "cc") is None


def test_a_record_of_another_schema_says_which(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomic(path, to_json(a_run()).replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(ResultsError, match="schema version 2"):
        read_run(path)
