# SPDX-License-Identifier: GPL-2.0-only
"""Which accelerator is taken; what a real host answers is in tests/boot/test_accelerator."""

import json
import os
from pathlib import Path

import pytest

from harness.boot import accel
from harness.boot.accel import AccelProbe, choose, known, probe
from harness.errors import HostError
from tests.support.checkout import FAKES

NOWHERE = Path("/nonexistent")


@pytest.fixture
def probes(monkeypatch):
    """Answers in place of boots; what was booted is counted."""
    answers, booted = [], []
    monkeypatch.setenv("PATH", f"{FAKES}:{os.environ['PATH']}")

    def answer(kernel, initrd):
        booted.append(kernel)
        return answers[-1]

    monkeypatch.setattr(accel, "_try", answer)
    return answers, booted


@pytest.mark.parametrize(
    ("wanted", "works", "taken"),
    [
        ("auto", True, "kvm"),
        ("auto", False, "tcg"),
        ("kvm", True, "kvm"),
        ("tcg", True, "tcg"),
        ("tcg", False, "tcg"),
    ],
)
def test_what_works_is_taken_and_tcg_needs_no_probe(tmp_path, probes, wanted, works, taken):
    answers, booted = probes
    answers.append(AccelProbe(works, "why"))
    assert choose(wanted, NOWHERE, NOWHERE, tmp_path) == taken
    assert len(booted) == (wanted != "tcg")


def test_kvm_that_does_not_boot_is_refused_with_the_reason(tmp_path, probes):
    probes[0].append(AccelProbe(False, "no-output SIGABRT"))
    with pytest.raises(HostError, match="KVM does not boot a kernel here: no-output SIGABRT"):
        choose("kvm", NOWHERE, NOWHERE, tmp_path)


def test_an_answer_is_kept_for_this_host_and_this_qemu(tmp_path, probes, monkeypatch):
    answers, booted = probes
    answers.append(AccelProbe(True, "booted"))
    assert known(tmp_path) is None
    for _ in range(2):
        assert probe(NOWHERE, NOWHERE, tmp_path) == answers[0] == (known(tmp_path) or answers[0])
    assert len(booted) == 1 and known(tmp_path) == answers[0]
    monkeypatch.setattr("platform.release", lambda: "another kernel of the host")
    assert known(tmp_path) is None
    probe(NOWHERE, NOWHERE, tmp_path)
    assert len(booted) == 2 and len(list((tmp_path / "accelerator").iterdir())) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"kvm": true}', '{"a": 1}'])
def test_an_answer_that_is_damaged_is_asked_for_again(tmp_path, probes, text):
    answers, booted = probes
    answers.append(AccelProbe(False, "x"))
    probe(NOWHERE, NOWHERE, tmp_path)
    (file,) = (tmp_path / "accelerator").iterdir()
    file.write_text(text)
    assert known(tmp_path) is None
    assert probe(NOWHERE, NOWHERE, tmp_path) == answers[0]
    assert len(booted) == 2 and json.loads(file.read_text()) == vars(answers[0])


def test_without_a_device_nothing_is_booted(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(accel, "boot", None)
    assert accel._try(NOWHERE, NOWHERE) == AccelProbe(False, "no /dev/kvm that we may open")
