# SPDX-License-Identifier: GPL-2.0-only
"""What a host lacks."""

from harness.cli import main


def test_doctor_names_a_remedy(checkout, monkeypatch, capfd, tmp_path):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert main(["doctor"]) == 2
    shown = capfd.readouterr().out
    assert "apt-get install qemu-system-x86" in shown
    assert "apt-get install flex" in shown
