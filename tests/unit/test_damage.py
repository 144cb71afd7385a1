# SPDX-License-Identifier: GPL-2.0-only
"""What disks, clocks and other versions do to results: named, set aside, never dropped."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

import harness
from harness.cli import main
from harness.compare.series import series_of
from harness.dataset.dataset import collate
from harness.errors import ResultsError
from harness.parse.evidence import reread
from harness.results.folder import Results
from harness.units import GIB
from tests.support.checkout import ROOT, rows

OLD = ROOT / "tests/golden/results-v1"


@pytest.mark.parametrize(
    "harm",
    [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"\0" * 99, None],
    ids=["torn", "empty", "zeros", "gone"],
)
def test_half_a_record_is_set_aside_by_name_and_booted_again(ran, capfd, harm):
    record = ran / "runs/one/small/time/000/run.json"
    if harm:
        record.write_bytes(harm(record.read_bytes()))
    else:
        record.unlink()
    assert main(["status", str(ran)]) == 1
    shown = " ".join(capfd.readouterr().out.split())
    assert "runs/one/small/time/000 damaged not a run record" in shown
    assert main(["run", "experiments/pair.yaml"]) == 0
    told = " ".join(capfd.readouterr().err.split())
    assert f"set aside, and booted again: {record.relative_to(Path.cwd())}" in told
    assert (ran / "runs/one/small/time/000.attempt1/console.log").exists()
    attempts = {(r["variant"], r["block"]): r["attempt"] for r in rows(ran, "runs")}
    assert attempts.pop(("one", "0")) == "2"
    assert list(attempts.values()) == ["1"] * 5


def test_a_record_of_a_later_schema_is_named_and_left_alone(ran, capfd):
    record = ran / "runs/one/small/time/000/run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"schema_version": 2}))
    assert main(["run", "experiments/pair.yaml"]) == 1
    assert record.exists()
    said = capfd.readouterr()
    assert "DAMAGED" in said.out
    assert "schema version 2" in said.out
    assert "1 boot(s) went wrong" in said.out
    assert main(["run", "experiments/pair.yaml", "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["failed"] == 1


def test_a_folder_that_cannot_be_listed_is_named(ran, capfd):
    place = ran / "runs/one"
    shutil.rmtree(place)
    place.symlink_to(place)
    assert main(["status", str(ran)]) == 1
    assert "runs/one damaged cannot be listed" in " ".join(capfd.readouterr().out.split())
    (damage,) = collate(Results(ran), reread).damage
    assert damage.path == place
    assert main(["run", "experiments/pair.yaml"]) == 2
    assert f"{place.relative_to(Path.cwd())}: cannot be listed" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["console.log", "probes.jsonl", "console.jsonl"])
@pytest.mark.parametrize(
    "harm",
    [
        *(lambda d: d[: len(d) // 2], lambda d: b"no gzip", lambda d: d[:-9] + b"\xff" * 9),
        lambda d: b"",
    ],
    ids=["torn", "foreign", "altered", "empty"],
)  # fmt: skip
def test_a_damaged_log_is_named_and_the_figures_stay(ran, name, harm):
    whole = collate(Results(ran), reread)
    log = ran / "runs/one/small/time/000" / name
    packed = log.with_name(name + ".gz")
    packed.write_bytes(harm(gzip.compress(log.read_bytes())))
    log.unlink()
    found = collate(Results(ran), reread)
    (damage,) = found.damage
    assert damage.path == packed
    assert "the figures are those of run.json" in damage.reason
    assert found.phases.equals(whole.phases)
    assert main(["collate", str(ran)]) == 1
    package = json.loads((ran / "datapackage.json").read_text())
    assert package["damaged"][0]["path"] == f"runs/one/small/time/000/{name}.gz"
    # By its place, which tells it from that of the other run.
    shown = f"Damaged: runs/one/small/time/000/{name}.gz: cannot be read"
    assert shown in (ran / "report.md").read_text().replace("\\", "")
    assert shown in (ran / "report.html").read_text()


@pytest.mark.parametrize("name", ["console.log", "probes.jsonl", "console.jsonl"])
def test_a_log_that_is_gone_is_named_and_the_figures_stay(ran, name):
    whole = collate(Results(ran), reread)
    (ran / "runs/one/small/time/000" / name).unlink()
    found = collate(Results(ran), reread)
    (damage,) = found.damage
    assert damage.path == ran / "runs/one/small/time/000" / name
    assert damage.reason == "no such file; the figures are those of run.json"
    assert found.runs.equals(whole.runs) and found.phases.equals(whole.phases)


def test_half_a_csv_is_named_and_made_again(ran):
    path = ran / "phases.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ResultsError, match="half written or altered") as caught:
        harness.load(ran)
    assert caught.value.where == str(path)
    assert main(["compare", str(ran), "--baseline", "one"]) == 2
    assert main(["collate", str(ran)]) == 0
    assert path.read_bytes() == whole
    harness.load(ran)


@pytest.mark.parametrize(
    "harm",
    [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"\0" * 99, lambda d: d + b"\xff\n"],
    ids=["torn", "empty", "zeros", "altered"],
)
@pytest.mark.parametrize("name", ["runs", "phases", "probes", "summary"])
def test_a_csv_without_a_checksum_is_not_believed_either(tmp_path, name, harm):
    """As earlier versions wrote it: no datapackage.json."""
    folder = Path(shutil.copytree(OLD, tmp_path / "old"))
    assert not (folder / "datapackage.json").exists()
    path = folder / f"{name}.csv"
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ResultsError, match="half written or altered") as caught:
        harness.load(folder)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    "harm",
    [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"\0" * 99, lambda d: d + b"\xff\n"],
    ids=["torn", "empty", "zeros", "altered"],
)
def test_a_damaged_lock_is_one_error_by_name(ran, capfd, harm):
    path = ran / "experiment.lock.yaml"
    path.write_bytes(harm(path.read_bytes()))
    for words in (["status", str(ran)], ["compare", str(ran), "--baseline", "one"]):
        assert main(words) == 2
        assert str(path) in capfd.readouterr().err
    (damage,) = collate(Results(ran), reread).damage
    assert damage.path == path


def test_half_a_line_of_the_ledger_is_named(ran):
    path = ran / "ledger.jsonl"
    with path.open("a") as file:
        file.write('{"at_utc": "2026')
    (damage,) = collate(Results(ran), reread).damage
    assert damage.path == path


def test_a_dataset_of_an_earlier_version_is_read():
    """As commit c000315 wrote it: tables without the column `gate`, and no gate.csv."""
    assert "gate" not in (OLD / "runs.csv").read_text().splitlines()[0].split(",")
    found = harness.load(OLD)
    assert found.runs["gate"].isna().all()
    assert found.runs["memory_bytes"].tolist() == [16 * GIB]
    names = {subject.name for subject in series_of(found)}
    assert {"memmap_init", "boot", "host_rss_peak_bytes"} <= names
    assert found.lock
    assert found.lock.hash == "".join(OLD.joinpath("experiment.lock.yaml").read_text()[6:18])


def test_records_and_logs_of_an_earlier_version_are_collated(tmp_path):
    folder = Path(shutil.copytree(OLD, tmp_path / "old"))
    before = harness.load(folder)
    assert main(["collate", str(folder)]) == 0
    after = harness.load(folder)
    columns = ["phase", "node", "start_instructions", "instructions", "pages"]
    assert after.phases[columns].equals(before.phases[columns])
    assert not json.loads((folder / "datapackage.json").read_text())["damaged"]
