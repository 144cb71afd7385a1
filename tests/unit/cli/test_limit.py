# SPDX-License-Identifier: GPL-2.0-only
"""``harness limit`` with a QEMU that plays: what is said, and what is booted again."""

import csv
import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.run import limit
from harness.units import GIB, format_size
from tests.support.store import foreign, torn


@pytest.fixture
def found(checkout, monkeypatch):
    """A search that is over, between 16 and 24 GiB; and its records."""
    monkeypatch.setattr(limit, "END", 32 * GIB)
    limit.machines.cache_clear()
    monkeypatch.setattr("harness.host.available_memory", lambda: 1)
    assert main(["limit", "one"]) == 0
    yield sorted((checkout / "results/limit").glob("*/runs/one/*/time/000/run.json"))
    limit.machines.cache_clear()


def test_a_search_boots_again_what_is_torn(found, capfd):
    torn(found[0])
    capfd.readouterr()
    assert main(["limit", "one", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["limits"][0]["boots"] == len(found)
    assert json.loads(found[0].read_bytes())["attempt"] == 2


def test_a_search_that_meets_a_record_of_another_schema_says_so(found, capfd):
    foreign(found[0])
    capfd.readouterr()
    assert main(["limit", "one", "--json"]) == 1
    (said,) = json.loads(capfd.readouterr().out)["unread"]
    assert "quad-16g/time/000/run.json: schema version 999" in said
    assert main(["limit", "one"]) == 1
    assert "DAMAGED: runs/one/quad-16g" in capfd.readouterr().out


def test_the_largest_machine_is_in_a_table_and_in_its_file(found, capfd):
    capfd.readouterr()
    assert main(["limit", "one"]) == 0
    said = capfd.readouterr().out
    (file,) = Path("results/limit").glob("*/limits.csv")
    assert "one " in said and f"limits: {file}" in " ".join(said.split())
    (row,) = csv.DictReader(file.read_text().splitlines())
    assert row["variant"] == "one" and format_size(int(row["max_bootable_bytes"])) in said
    assert len(found) == int(row["boots"])


def test_a_variant_that_boots_nowhere_is_1(found, capfd, monkeypatch):
    monkeypatch.setenv("FAKE_QEMU", "panic")
    capfd.readouterr()
    assert main(["limit", "two"]) == 1
    assert "panic" in capfd.readouterr().out


def test_a_variant_that_there_is_not_is_2(checkout, capfd):
    assert main(["limit", "nobody"]) == 2
    assert "no variant called 'nobody'" in capfd.readouterr().err
