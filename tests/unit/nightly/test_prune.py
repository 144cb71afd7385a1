# SPDX-License-Identifier: GPL-2.0-only
"""What becomes of old nights."""

from datetime import date, timedelta
from pathlib import Path

from harness.cli import main
from harness.nightly import prune


def littered(folder: Path, days: int) -> Path:
    for n in range(days):
        day = date(2026, 1, 1) + timedelta(days=n)
        for part in prune.PARTS:
            path = folder / part / day.isoformat()
            path.mkdir(parents=True)
            (path / "data").write_bytes(b"x" * 1000)
    (folder / "history").mkdir(exist_ok=True)
    (folder / "history/000001-2026-01-01.json").write_text("{}")
    (folder / "boots/mine").mkdir()
    return folder


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "boots").iterdir())


def test_pruning_by_age_and_size_keeps_the_history_and_two_nights(tmp_path):
    there = prune.leaves(littered(tmp_path, 5))
    assert len(there) == 10
    by_age = prune.choose(there, date(2026, 1, 5), days=2)
    assert {leaf.day.day for leaf in by_age} == {1, 2}
    by_size = prune.choose(there, date(2026, 1, 5), size=7000)
    assert [leaf.day.day for leaf in by_size] == [1, 1, 2]
    assert {leaf.day.day for leaf in prune.choose(there, date(2030, 1, 1), days=0)} == {1, 2, 3}


def test_prune_on_the_command_line(tmp_path, capfd):
    littered(tmp_path, 4)
    assert main(["nightly", "--folder", str(tmp_path), "--prune"]) == 2
    assert main(["nightly", "--folder", str(tmp_path), "--prune", "--days", "30"]) == 0
    assert left(tmp_path) == ["2026-01-03", "2026-01-04", "mine"]
    assert (tmp_path / "history/000001-2026-01-01.json").exists()
    assert "4 folders" in capfd.readouterr().out
