# SPDX-License-Identifier: GPL-2.0-only
"""Which accelerator is taken; what a real host answers is in tests/boot/test_accelerator."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import host
from harness.boot import Evidence, accel
from harness.boot.accel import AccelProbe, choose, known, probe
from harness.errors import HostError
from harness.model import Ending
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
    assert choose(wanted, NOWHERE, NOWHERE, tmp_path)[0] == taken
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


@dataclass
class Guest:
    """Comes to user space after `needs_s`, unless the limits that it is given end it before."""

    needs_s: float
    asked: list = field(default_factory=list)

    def boot(self, request, folder):
        self.asked.append(request)
        limit = min(request.scaled.silence_s, request.deadline_s)
        if limit < self.needs_s:
            return Evidence(Ending(cause="no-output", detail="cpu0: 0xfd09a", wall_s=limit))
        return Evidence(Ending(cause="done", detail="", wall_s=self.needs_s))


@pytest.fixture
def probed(monkeypatch, tmp_path):
    """A probe of a guest on a host whose CPUs are `slow` times slower than hardware."""

    def on(guest, slow, source="tsc"):
        monkeypatch.setattr(accel, "boot", guest.boot)
        monkeypatch.setattr(accel.os, "access", lambda *_: True)
        for name, value in (("measure_slowdown", slow), ("kvm_tsc_khz", 2_600_000)):
            monkeypatch.setattr(host, name, lambda value=value: value)
        monkeypatch.setattr(host, "clocksource", lambda: source)
        monkeypatch.setattr(host, "find_qemu", lambda: accel.host.Qemu("qemu", (7, 2, 0)))
        return accel.probe(NOWHERE, NOWHERE, tmp_path)

    return on


def test_a_slow_kvm_is_found_and_its_boots_are_given_the_time(probed, tmp_path):
    guest = Guest(needs_s=85)
    found = probed(guest, slow=20.0)
    assert found.kvm and found.slowdown == 85 / accel.BOOT_S
    assert "85.0 s; limits 20.0 times those of hardware" in found.detail
    assert accel.choose("auto", NOWHERE, NOWHERE, tmp_path) == ("kvm", found.slowdown)
    assert guest.asked[0].tsc_khz == 2_600_000


def test_a_kvm_that_hangs_on_hardware_is_denied_within_seconds(probed, tmp_path):
    found = probed(Guest(needs_s=85), slow=1.0)
    assert not found.kvm
    assert found.detail == "no-output cpu0: 0xfd09a"
    assert accel.choose("auto", NOWHERE, NOWHERE, tmp_path) == ("tcg", None)


def test_a_quick_kvm_shortens_no_limit(probed):
    assert probed(Guest(needs_s=0.4), slow=1.0).slowdown == 1.0


def test_a_host_whose_tsc_is_not_trusted_is_told_so(probed):
    assert "keeps time by hpet" in probed(Guest(needs_s=0.4), slow=1.0, source="hpet").detail


def test_what_was_kept_by_the_fixed_limits_is_asked_again(probed, tmp_path, monkeypatch):
    assert not probed(Guest(needs_s=85), slow=1.0).kvm
    monkeypatch.setattr(accel, "_FORM", "another")
    assert probed(Guest(needs_s=85), slow=20.0).kvm


def test_work_is_timed_by_the_wall_and_never_below_hardware(monkeypatch):
    ticks = iter((0, 0.6, 1, 1.3, 2, 3.2))
    monkeypatch.setattr(host.time, "monotonic", lambda: next(ticks))
    assert host.measure_slowdown() == pytest.approx(0.3 / host.WORK_S)
    monkeypatch.setattr(host, "WORK_LOOPS", 1)
    monkeypatch.undo()
    assert host.measure_slowdown() >= 1
