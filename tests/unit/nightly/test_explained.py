# SPDX-License-Identifier: GPL-2.0-only
"""Which functions a count changed by from one night to the next."""

import json
import shutil

import pytest

from harness.cli import main
from tests.support.checkout import ROOT
from tests.support.profiles import DEFERRED, EAGER, with_symbols, written


@pytest.fixture
def night(checkout, tmp_path, monkeypatch, capfd):
    """Boots a night whose memmap_init takes so many instructions more, with a profile."""
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("time: {blocks: 2, warmup: 1}", "work: {blocks: 1}")
    (checkout / "experiments/nightly.yaml").write_text(text + "instrument: both\n")
    with_symbols(checkout)
    console = (ROOT / "tests/golden/console/deferred-16g.log").read_bytes()

    def boot(day, more, calls):
        ends = f"end={512057754 + more}".encode()
        (tmp_path / "console.log").write_bytes(console.replace(b"end=512057754", ends))
        monkeypatch.setenv("FAKE_CONSOLE", str(tmp_path / "console.log"))
        monkeypatch.setenv("FAKE_PROFILE", written(calls))
        main(["nightly", "--no-update", "--date", day, "--json"])
        said = json.loads(capfd.readouterr().out)
        latest = checkout / "results/nightly/latest"
        return said["changes"], "".join(p.read_text() for p in latest.glob("*.md"))

    return boot


def test_a_count_that_changed_is_explained_by_functions(night, checkout):
    night("2026-11-20", 0, EAGER)
    changes, text = night("2026-11-21", 20_000_000, DEFERRED)
    assert changes
    assert "memmap_init_range -600, deferred_init_memmap +500" in text
    _, text = night("2026-11-22", 20_000_000, DEFERRED)
    assert "memmap_init_range" not in text, "said on the night that it changed"


def test_boots_that_are_pruned_explain_nothing(night, checkout):
    night("2026-11-20", 0, EAGER)
    shutil.rmtree(checkout / "results/nightly/boots/2026-11-20")
    changes, text = night("2026-11-21", 20_000_000, DEFERRED)
    assert changes and "memmap_init_range" not in text
