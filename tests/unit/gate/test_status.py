# SPDX-License-Identifier: GPL-2.0-only
"""Numbers are marked unless a gate has seen that very kernel and found nothing."""

import shutil

import pytest

from harness.cli import main
from harness.dataset import dataset
from harness.files import write_atomic
from harness.gate.status import statuses
from harness.report import render
from harness.results.folder import Results, to_json
from tests.support.checkout import ROOT
from tests.support.records import grown as lock
from tests.support.records import stored


def test_the_verdict_is_in_the_lock_and_no_part_of_its_hash():
    plain, told = lock(), lock().model_copy(update={"gate": {"grow": "green"}})
    assert told.hash == plain.hash
    assert "gate:" not in plain.to_yaml()
    again = type(told).from_yaml(told.to_yaml(), "x")
    assert statuses(again) == {"eager": "none", "grow": "green"}
    assert statuses(None) == {}


def test_tables_and_plots_mark_what_is_not_proved(tmp_path):
    results = Results(tmp_path / "quick" / "run")
    told = lock().model_copy(update={"gate": {"grow": "green"}})
    write_atomic(results.path / "experiment.lock.yaml", told.to_yaml())
    for variant in ("eager", "grow"):
        item = stored((variant, "m1", "time"), 0, 1)
        folder = results.path / "runs" / variant / "m1" / "time" / "000"
        write_atomic(folder / "run.json", to_json(item.run))
    found = dataset.collate(results)
    assert found.standing == {"eager": "none", "grow": "green"}
    rows = found.summary[["variant", "gate"]].drop_duplicates().to_numpy().tolist()
    assert rows == [["eager", "none"], ["grow", "green"]]
    assert [row[0] for row in render.headline(found).rows] == ["eager †", "grow"]
    page, text = render.render(results, found)
    assert "has not been through the correctness gate" in page
    assert "eager †" in text and "grow †" not in text
    dataset.write(found, results.path)
    again = dataset.load_tables(results.path)
    assert again["runs"]["gate"].tolist() == ["none", "green"]


@pytest.mark.parametrize("name", ["quick", "limit", "gate-hotplug"])
def test_a_copy_of_a_dataset_elsewhere_gives_the_same_bytes(tmp_path, name):
    here = ROOT / "results/reference" / name
    copy = shutil.copytree(here, tmp_path / "elsewhere")
    made = [*copy.glob("*.csv"), *(copy / each for each in ("report.html", "report.md"))]
    made.append(copy / "datapackage.json")
    for path in made:
        path.unlink()
    assert main(["collate", str(copy)]) == 0
    for path in made:
        assert path.read_bytes() == (here / path.name).read_bytes(), path.name
