# SPDX-License-Identifier: GPL-2.0-only
"""Nights from end to end, with a QEMU that plays a part."""

import json
import os
import signal
import threading

import pytest

from harness.cli import main
from harness.files import locked
from harness.nightly.nightly import FILES
from tests.support.checkout import ROOT
from tests.support.real import until
from tests.support.store import foreign


@pytest.fixture
def nightly(checkout):
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("time: {blocks: 2, warmup: 1}", "work: {blocks: 1}")
    (checkout / "experiments/nightly.yaml").write_text(text)
    return checkout


def night(day: str, *words: str) -> int:
    return main(["nightly", "--no-update", "--date", day, *words])


def test_nights_from_end_to_end(nightly, capfd, monkeypatch, tmp_path):
    console = ROOT / "tests/golden/console/deferred-16g.log"
    slow = tmp_path / "slow.log"
    slow.write_bytes(console.read_bytes().replace(b"end=512057754", b"end=532057754"))
    monkeypatch.setenv("FAKE_CONSOLE", str(console))
    assert night("2026-11-20") == 0
    assert night("2026-11-21") == 0
    monkeypatch.setenv("FAKE_CONSOLE", str(slow))
    capfd.readouterr()
    assert night("2026-11-22", "--json") == 1
    said = json.loads(capfd.readouterr().out)["changes"]
    assert [(c["kind"], c["variant"], c["subject"]["name"], c["regression"]) for c in said] == [
        ("exact", "one", "memmap_init", True),
        ("exact", "two", "memmap_init", True),
    ]
    assert said[0]["after"] - said[0]["before"] == 20_000_000
    assert night("2026-11-22") == 1, "a night in the history is reported again, not booted"
    assert night("2026-11-23") == 0, "called once"
    monkeypatch.setenv("FAKE_QEMU", "panic")
    assert night("2026-11-24") == 1
    folder = nightly / "results/nightly"
    assert (folder / "latest").resolve() == folder / "reports/2026-11-24"
    assert sorted(path.name for path in (folder / "latest").iterdir()) == sorted(FILES)
    assert len(list((folder / "history").glob("*.json"))) == 5
    assert night("2026-11-20") == 2
    assert "set the clock" in capfd.readouterr().err
    assert main(["nightly", "--report"]) == 1


@pytest.fixture
def interrupted(nightly):
    """Boots of a night, after which it was ended by Ctrl-C: while it waited for the history."""

    def hit() -> None:
        until(lambda: list(nightly.glob("results/nightly/boots/**/report.html")))
        os.kill(os.getpid(), signal.SIGINT)

    hitter = threading.Thread(target=hit)
    with locked(nightly / "results/nightly/history/.lock"):
        hitter.start()
        assert night("2026-11-20") == 130
    hitter.join()
    assert not list(nightly.glob("results/nightly/history/*.json"))
    return sorted(nightly.glob("results/nightly/boots/*/*/*/runs/*/*/*/*/run.json"))


def test_an_interrupted_night_goes_on_and_is_counted_once(nightly, interrupted):
    stamps = [path.stat().st_mtime_ns for path in interrupted]
    assert night("2026-11-20") == 0
    assert [path.stat().st_mtime_ns for path in interrupted] == stamps
    assert len(list(nightly.glob("results/nightly/history/*.json"))) == 1


def test_a_night_with_a_boot_that_cannot_be_read_is_not_green(nightly, interrupted, capfd):
    foreign(interrupted[0])
    capfd.readouterr()
    assert night("2026-11-20", "--json") == 2
    (change,) = json.loads(capfd.readouterr().out)["changes"]
    assert change["kind"] == "damaged"
    assert "schema version 999" in change["text"]
