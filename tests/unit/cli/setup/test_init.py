# SPDX-License-Identifier: GPL-2.0-only
"""``harness init``: what is laid out is a checkout, and nothing is written over."""

from harness.cli import main


def test_a_project_is_one_where_its_folder_is(checkout, tmp_path, capfd, monkeypatch):
    assert main(["init", str(tmp_path / "lab")]) == 0
    assert f"project: {tmp_path / 'lab'}" in " ".join(capfd.readouterr().out.split())
    monkeypatch.chdir(tmp_path / "lab/experiments")
    assert main(["plan", "pair"]) == 0
    assert "one" in capfd.readouterr().out


def test_a_folder_that_has_any_of_it_stays_as_it_is(checkout, tmp_path, capfd):
    (tmp_path / "lab/experiments").mkdir(parents=True)
    (tmp_path / "lab/experiments/mine.yaml").write_text("mine")
    assert main(["init", str(tmp_path / "lab")]) == 2
    assert "experiments/ is there already" in capfd.readouterr().err
    assert [p.name for p in (tmp_path / "lab").rglob("*.yaml")] == ["mine.yaml"]
