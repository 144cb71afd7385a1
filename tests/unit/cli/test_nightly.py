# SPDX-License-Identifier: GPL-2.0-only
"""``harness nightly``: the words that boot nothing; whole nights are in nightly/test_nightly."""

import json

import pytest

from harness.cli import main
from harness.nightly.history import History
from tests.support.nights import Year, littered, make


@pytest.fixture
def history(checkout):
    """Three nights; in the last one memmap_init of one kernel takes a tenth more."""
    steps = {"memmap_init": {2: 1.1}}
    year = Year(nights=3, counts={"memmap_init": 10**9}, steps=steps)
    for night in make(year):
        History(checkout / "results/nightly/history").append(night.model_copy(update={"number": 0}))
    return checkout


def test_the_newest_night_is_told_again_without_a_boot(history, capfd):
    assert main(["nightly", "--report"]) == 1
    said = capfd.readouterr().out
    assert "memmap_init" in said and "night 3, 2026-01-03, base 6.12.1-1: 1 regressed" in said
    assert not (history / "results/nightly/boots").exists()
    assert main(["nightly", "--report", "--json"]) == 1
    told = json.loads(capfd.readouterr().out)
    assert (told["number"], told["date"], told["status"]) == (3, "2026-01-03", 1)
    assert [c["subject"]["name"] for c in told["changes"] if c["regression"]] == ["memmap_init"]


@pytest.mark.parametrize(("percent", "status"), [("9", 1), ("11", 0)])
def test_what_is_a_regression_can_be_chosen(history, percent, status):
    assert main(["nightly", "--report", "--exact-percent", percent]) == status


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--report"], "no night"),
        (["--prune"], "--prune: name --days, --size or both"),
        (["--prune", "--size", "much"], "--size: "),
        (["none"], "none"),
    ],
)
def test_what_cannot_be_done_is_2(checkout, capfd, words, said):
    assert main(["nightly", "--no-update", *words]) == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize("value", ["nan", "-1", "x"])
def test_a_tolerance_is_a_figure(checkout, capfd, value):
    with pytest.raises(SystemExit) as end:
        main(["nightly", "--report", "--percent", value])
    assert end.value.code == 2 and "--percent" in capfd.readouterr().err


def test_what_is_pruned_is_said(tmp_path, capfd):
    littered(tmp_path, 4)
    assert main(["nightly", "--folder", str(tmp_path), "--prune", "--days", "30"]) == 0
    left = sorted(path.name for path in (tmp_path / "boots").iterdir())
    assert left == ["2026-01-03", "2026-01-04", "mine"]
    assert (tmp_path / "history/000001-2026-01-01.json").exists()
    assert "4 folders" in capfd.readouterr().out
    assert main(["nightly", "--folder", str(tmp_path), "--prune", "--days", "30", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"removed": [], "bytes": 0}
