# SPDX-License-Identifier: GPL-2.0-only
"""What tools/nightly/ ships does what it says: read by the programs it is made for, and run."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.model.schema import read_yaml
from harness.nightly.history import History
from tests.support.checkout import BASE, FAKES, ROOT

SHIPPED = ROOT / "tools/nightly"
LOGROTATE = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
PINNED = "provider:\n  debian: {package: linux-source-6.12, version: 6.12.1-1}\n"


@pytest.fixture
def home(checkout, tmp_path) -> Path:
    """A home with a checkout in ~/pageinit, whose Python finds a QEMU that plays a part: ~/part."""
    root = checkout.rename(tmp_path / "pageinit")
    text = (root / "experiments/pair.yaml").read_text()
    text = text.replace("time: {blocks: 2, warmup: 1}", "work: {blocks: 1}")
    (root / "experiments/nightly.yaml").write_text(text)
    base = (root / BASE).read_text()
    (root / BASE).write_text(re.sub(r"(?ms)^provider:.*", PINNED, base))
    (root / "harness").symlink_to(ROOT / "harness")
    python = root / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    names = ("FAKE_CONSOLE", "PAGEINIT_CACHE")
    known = " ".join(f"{name}={shlex.quote(os.environ[name])}" for name in names)
    path = shlex.quote(f"{FAKES}:{Path(sys.executable).parent}")
    played = f"PATH={path}:$PATH FAKE_QEMU=$(cat ~/part)"
    argv = f'{shlex.quote(sys.executable)} "$@"'
    python.write_text(f"#!/bin/sh\nexport {known} {played}\nexec {argv}\n")
    python.chmod(0o755)
    (tmp_path / "part").write_text("ok")
    return tmp_path


def bare(home: Path) -> dict[str, str]:
    """All that cron gives to a command (crontab(5)); systemd gives hardly more."""
    known = {"HOME": str(home), "LOGNAME": "somebody", "SHELL": "/bin/sh"}
    return {**known, "PATH": "/usr/bin:/bin"}


def nights(home: Path) -> int:
    found, damage = History(home / "pageinit/results/nightly/history").read()
    assert not damage
    return len(found)


def section(unit: str, name: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(comment_prefixes=("#", ";"), delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(SHIPPED / unit)
    return parser[name]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_has_nothing_to_say_about_the_units(home, tmp_path):
    env = {**bare(home), "XDG_RUNTIME_DIR": str(tmp_path)}
    units = [SHIPPED / f"pageinit-nightly.{kind}" for kind in ("service", "timer")]
    argv = ["systemd-analyze", "verify", "--user", "--man=no", *units]
    done = subprocess.run(argv, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (home / "pageinit/.venv/bin/python").unlink()
    assert subprocess.run(argv, env=env, capture_output=True).returncode != 0
    when = section("pageinit-nightly.timer", "Timer")["OnCalendar"]
    assert (
        subprocess.run(["systemd-analyze", "calendar", when], capture_output=True).returncode == 0
    )


def test_the_lines_of_the_unit_boot_a_night_and_prune(home):
    service = section("pageinit-nightly.service", "Service")
    root = service["WorkingDirectory"].replace("%h", str(home))

    def run(line: str) -> int:
        argv = shlex.split(line.removeprefix("-").replace("%h", str(home)))
        return subprocess.run(argv, cwd=root, env=bare(home), capture_output=True).returncode

    assert run(service["ExecStart"]) == 0
    assert nights(home) == 1
    assert run(service["ExecStopPost"]) == 0
    assert nights(home) == 1


def test_the_line_of_cron_is_silent_on_a_good_night_and_mails_a_bad_one(home):
    lines = (SHIPPED / "crontab").read_text().splitlines()
    (line,) = [line for line in lines if line and not line.startswith("#")]
    *when, command = line.split(None, 5)
    assert when == ["15", "2", "*", "*", "*"]
    assert "%" not in command, "cron ends a command there"

    def run() -> str:
        argv = ["/bin/sh", "-c", command]
        done = subprocess.run(argv, cwd=home, env=bare(home), capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert run() == ""
    assert nights(home) == 1
    assert "results/nightly" in (home / "pageinit/nightly.log").read_text()
    shutil.rmtree(home / "pageinit/results")
    (home / "part").write_text("panic")
    assert "regress" in run()


@pytest.mark.skipif(LOGROTATE is None, reason="no logrotate: apt install logrotate")
def test_the_log_is_rotated_and_the_history_is_not(home):
    log = home / "pageinit/nightly.log"
    log.write_text("a line\n")
    kept = home / "pageinit/results/nightly/history/000001-2026-01-01.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    argv = [LOGROTATE, "--force", "--state", home / "state", SHIPPED / "nightly.logrotate"]
    done = subprocess.run(argv, env=bare(home), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert not log.exists() and log.with_name("nightly.log.1.gz").exists()
    assert kept.read_text() == "{}"


# The workflow. Its scripts are run as a runner does: by `bash -e` in the checkout.

WORKFLOW = SHIPPED / "github-workflow.yml"


def steps() -> dict[str, str]:
    flow = read_yaml(WORKFLOW.read_bytes(), str(WORKFLOW))
    found = [step for job in flow["jobs"].values() for step in job["steps"] if "run" in step]
    return {step.get("name", step["run"]): step["run"] for step in found}


def test_the_workflow_names_targets_and_folders_that_are_there():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    asked = [
        word for text in steps().values() for word in re.findall(r"^\s*make (\S+)", text, re.M)
    ]
    assert asked == ["nightly"]
    assert set(asked) <= set(targets)
    folders = re.findall(r"results/nightly/\w+", WORKFLOW.read_text())
    assert set(folders) == {"results/nightly/history", "results/nightly/reports"}


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", folder, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def runner(origin: Path, folder: Path, night: str | None) -> None:
    """One run of the workflow: a fresh clone, the history, a night, the history again."""
    first, middle, last = (
        text for name, text in steps().items() if "history" in name or "night" in name
    )
    assert middle == "make nightly"
    git(folder.parent, "clone", "-q", "--depth=1", f"file://{origin}", str(folder))
    env = {**bare(folder.parent), "GIT_CONFIG_NOSYSTEM": "1"}

    def bash(text: str) -> None:
        done = subprocess.run(
            ["bash", "-e", "-c", text], cwd=folder, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    bash(first)
    history = folder / "results/nightly/history"
    history.mkdir(parents=True, exist_ok=True)
    if night:
        (history / night).write_text(f"{{}} {night}")
    bash(last)


def test_the_history_of_the_workflow_outlives_the_runner(tmp_path):
    origin, author = tmp_path / "origin", ("-c", "user.name=a", "-c", "user.email=a@b")
    git(tmp_path, "init", "-q", "-b", "main", str(origin))
    (origin / "code").write_text("x")
    git(origin, "add", "code")
    git(origin, *author, "commit", "-q", "-m", "code")
    for number, name in enumerate(("1.json", "2.json", None)):
        runner(origin, tmp_path / f"runner{number}", name)
    kept = git(origin, "ls-tree", "-r", "--name-only", "nightly-history").split()
    assert kept == ["history/1.json", "history/2.json"]
    assert git(origin, "rev-list", "--count", "nightly-history").strip() == "2"
