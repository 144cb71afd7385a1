# SPDX-License-Identifier: GPL-2.0-only
"""``harness gate``: what is printed; what counts as evidence is in gate/test_prove."""

import json

import pytest

from harness.cli import main
from harness.gate import checks as gate
from tests.support.checkout import MACHINE, ROOT
from tests.support.store import keep, lay_sources


@pytest.fixture
def gated(checkout, monkeypatch):
    """A checkout with `eager` and `grow`, both builds of which boot and say what is to be said."""
    project = lay_sources(checkout, ("eager", "grow"))
    for variant in map(project.variant, ("eager", "grow")):
        keep(project, variant)
        keep(project, gate.debug(variant))
    (checkout / f"qemu-configs/{gate.MACHINE}.yaml").write_text(MACHINE)
    monkeypatch.setenv("FAKE_PROBES", str(ROOT / "tests/golden/gate/eager.jsonl"))
    return checkout


def test_every_check_is_a_row_and_junit_has_it_too(gated, capfd):
    assert main(["gate", "grow", "--junit", "gate.xml"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "grow: all good" in said and all(check in said for check in gate.CHECKS)
    text = (gated / "gate.xml").read_text()
    assert 'failures="0"' in text and all(check in text for check in gate.CHECKS)


def test_a_check_that_fails_is_1_and_says_what_was_seen(gated, capfd, monkeypatch, tmp_path):
    good = (ROOT / "tests/golden/gate/eager.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in good]
    evil = "\x1b[31mlong " + "x" * 500
    for line in lines:
        if line.get("probe") == "check" and line.get("check") == "thp":
            line.update(result="fail", detail=evil)
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    monkeypatch.setenv("FAKE_PROBES", str(bad))
    assert main(["gate", "grow"]) == 1
    said = capfd.readouterr().out
    assert "FAILED" in said and "\x1b[31m" not in said
    assert 100 < said.count("x") < 300


def test_a_prebuilt_kernel_cannot_go_through_the_gate(checkout, capsys):
    assert main(["gate", "one"]) == 2
    assert "a prebuilt kernel has no debug build" in capsys.readouterr().err
