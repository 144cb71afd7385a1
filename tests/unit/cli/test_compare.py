# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts from the command line."""

import csv
import io
import json

import pytest

from harness.cli import main
from harness.compare.export import COLUMNS
from tests.support.synthetic import Recipe, make, write


def test_the_command_line_has_four_forms(tmp_path, capsys) -> None:
    folder = write(make(Recipe({"base": 1.0, "new": 1.5}, noise=0.01)), tmp_path / "set")
    argv = ["compare", str(folder), "--baseline", "base"]
    assert main(argv) == 0
    assert "slower" in capsys.readouterr().out
    assert main([*argv, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"slower"} == {r["verdict"] for r in document["rows"] if r["kind"] == "time"}
    assert main([*argv, "--csv", "--metric", "boot"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(table[0]) == [c.name for c in COLUMNS]
    assert {row["name"] for row in table} == {"boot", "boots"}
    assert main([*argv, "--markdown"]) == 0
    text = capsys.readouterr().out
    assert "| small | boot | new |" in text and "emulation, not of hardware" in text


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        (["--fail-on", "regressed"], 1),
        (["--fail-on", "suspect"], 0),
        (["--fail-on", "regressed", "--percent", "90"], 0),
        (["--metric", "nonsense"], 2),
        (["--baseline", "nobody"], 2),
        (["--bytes", "3GB"], 2),
        (["--json", "--csv"], 2),
    ],
)
def test_the_exit_status(tmp_path, capsys, extra, status) -> None:
    folder = write(make(Recipe({"base": 1.0, "new": 1.5}, noise=0.01)), tmp_path / "set")
    assert main(["compare", str(folder), "--baseline", "base", *extra]) == status
    said = capsys.readouterr().err
    assert ("remedy" in said or "--" in said) == (status == 2)


def test_two_datasets_are_compared_variant_by_variant(tmp_path, capsys) -> None:
    other = make(Recipe({"base": 1.0, "new": 1.0}, noise=0.01))
    for table in (other.runs, other.phases):
        table["block"] += 100  # blocks of two datasets are no pairs, whatever their numbers
    old = write(other, tmp_path / "old")
    new = write(make(Recipe({"base": 1.0, "new": 1.5}, noise=0.01, seed=2)), tmp_path / "new")
    argv = ["compare", str(new), "--against", str(old), "--metric", "boot", "--json"]
    assert main([*argv, "--fail-on", "regressed"]) == 1
    document = json.loads(capsys.readouterr().out)
    times = {
        r["variant"]: (r["verdict"], r["test"]) for r in document["rows"] if r["kind"] == "time"
    }
    assert times["new"] == ("slower", "Mann-Whitney") and times["base"][0] != "slower"
    assert not document["paired"]


@pytest.mark.parametrize("name", ["--percent", "--ms"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e999", "x"])
def test_a_limit_that_nothing_compares_with_is_usage(name, value, capsys):
    """`--percent nan` was an effect of interest that nothing reaches: --fail-on never failed."""
    with pytest.raises(SystemExit) as end:
        main(["compare", "nowhere", name, value])
    assert end.value.code == 2
