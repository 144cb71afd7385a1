# SPDX-License-Identifier: GPL-2.0-only
"""``harness status`` on a folder that somebody writes to."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli import main, status
from harness.run.progress import Ended, Progress, Running
from tests.support.checkout import ROOT
from tests.support.real import until


def folder(checkout: Path) -> Path:
    return next((checkout / "results" / "pair").iterdir())


@pytest.fixture
def patient(checkout):
    """Starts the harness as a process of its own, which ends no boot for its silence."""
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("silence_s: 1, progress_s: 1.5", "silence_s: 60, progress_s: 60")
    (checkout / "experiments/pair.yaml").write_text(text)
    machine = checkout / "qemu-configs/small.yaml"
    machine.write_text(machine.read_text().replace("deadline_s: 5", "deadline_s: 100"))
    made = []

    def start(*words, **streams):
        argv = [sys.executable, "-m", "harness", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        made.append(subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, text=True, **streams))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.communicate()


@pytest.fixture
def slow(patient, monkeypatch):
    """A run whose QEMU says no more than its banner."""
    monkeypatch.setenv("FAKE_QEMU", "hang")
    return patient("run", "experiments/pair.yaml", stderr=subprocess.DEVNULL)


def parts(checkout: Path) -> list[Path]:
    return list((checkout / "results").glob("pair/*/runs/*/*/*/*.part/console.log"))


def test_a_running_experiment_is_seen_live(checkout, slow, capsys):
    until(lambda: [path for path in parts(checkout) if path.stat().st_size])
    place = folder(checkout)
    assert main(["status", str(place), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["done"], seen["left"], seen["cells"], seen["cells_done"]) == (0, 6, 2, 0)
    (boot,) = seen["running"]
    assert boot["key"].endswith("/small/time/warmup") and boot["phase"] == "setup_arch"
    assert boot["line"] == "[    1.000000] Linux version 6.12.1 (x@y)"
    assert seen["writer"] == slow.pid and seen["seconds_left_about"] > 0
    assert main(["status", str(place)]) == 0
    text = capsys.readouterr().out
    assert "0/6 boots, 0/2 cells" in text and "Linux version 6.12.1" in text
    slow.kill()
    slow.wait()
    assert main(["status", str(place)]) == 0
    text = capsys.readouterr().out
    assert "6 left, but nobody works on it" in text and "was left while it booted" in text


def test_watching_ends_with_the_experiment(checkout, patient, monkeypatch, tmp_path):
    hold = tmp_path / "hold"
    hold.touch()
    monkeypatch.setenv("FAKE_HOLD", str(hold))
    run = patient("run", "experiments/pair.yaml", stderr=subprocess.DEVNULL)
    until(lambda: [path for path in parts(checkout) if path.stat().st_size])
    words = ("status", str(checkout / "results/pair"), "--watch")
    watch = patient(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first = watch.stdout.readline()
    hold.unlink()
    rest, said = watch.communicate(timeout=60)
    assert (run.wait(60), watch.returncode) == (0, 0), said
    assert re.match(r"0/6 boots.*/small/time/warmup in \w+$", first)
    assert rest.splitlines()[-1].startswith("6/6 boots, 2/2 cells")
    assert "\x1b" not in first + rest


def test_failures_and_damage_are_named(checkout, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_QEMU", "panic")
    assert main(["run", "experiments/pair.yaml"]) == 1
    place = folder(checkout)
    broken = place / "runs/one/small/time/000/run.json"
    broken.write_text("{")
    capsys.readouterr()
    assert main(["status", str(place)]) == 1
    text = capsys.readouterr().out
    assert "5 went wrong, 1 damaged" in text
    assert "two/small/time/001" in text and "Kernel panic - not syncing: fake" in text
    assert "runs/one/small/time/000 " in text and "not a run record" in text


def test_what_a_guest_prints_cannot_drive_the_terminal(tmp_path, capsys):
    part = tmp_path / "runs/v/m/time/000.part"
    part.mkdir(parents=True)
    (part / "console.log").write_bytes(b"[0.0] \x1b]0;owned\x07[bold red]x[/]\xe2\x80\xae\r\n")
    assert main(["status", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "[bold red]x[/]" in text
    assert not set("\x1b\x07\u202e") & set(text)


def test_a_row_takes_one_line_of_a_narrow_screen():
    boot = Running("v" * 20 + "/machine/time/000", 12.0, "page_alloc_init_late", "x" * 300)
    wrong = Ended("w/machine/work/001", ("w", "machine", "work"), "panic", "y\n" * 300, 1.0)
    seen = Progress("name", 4, 1, 2, 0, {"ok": 1}, (wrong,), (), (boot,), 90.0, 1)
    text = io.StringIO()
    Console(file=text, width=90).print(status.screen(seen, Path("folder")))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 90
    (row,) = (line for line in lines if line.startswith("v"))
    assert boot.key in row and "page_alloc_init_late" in row and row.rstrip().endswith("…")
    assert [line[:18] for line in lines[-2:]] == ["went wrong        ", "w/machine/work/001"]


def test_a_search_does_not_say_how_much_is_left():
    seen = Progress("limit", 3, 3, 0, 0, {"ok": 3}, (), (), (), None, 1)
    assert status.headline(seen) == "3 boots so far"
