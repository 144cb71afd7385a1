# SPDX-License-Identifier: GPL-2.0-only
"""pageinit in the CI of others: what is said there is what the commands take."""

import argparse
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.cli import try_
from tests.support.checkout import ROOT

CONTRIB = ROOT / "contrib"
SCRIPT = CONTRIB / "verdict.sh"
ACTION = yaml.safe_load((CONTRIB / "github/action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
GITLAB = yaml.safe_load((CONTRIB / "gitlab/pageinit.yml").read_text())
FAKE = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done >"$SEEN"
echo 'worse: ``` <b>'
exit ${STATUS:-0}
"""


@pytest.fixture
def place(tmp_path):
    """A folder with a `harness` that keeps its words."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/harness").write_text(FAKE)
    (tmp_path / "bin/harness").chmod(0o755)
    return tmp_path


def tried(place: Path, *argv: str, **told: str):
    env = {"PATH": f"{place}/bin:{os.environ['PATH']}", "SEEN": str(place / "seen"), **told}
    command = argv or ("sh", str(SCRIPT))
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True)
    seen = place / "seen"
    return done, seen.read_text().splitlines() if seen.exists() else []


def options(words):
    """What the real command makes of them."""
    parser = argparse.ArgumentParser()
    try_.register(parser)
    assert words[0] == "try"
    return parser.parse_args(words[1:])


def test_what_is_told_comes_to_the_command(place):
    told = {"MACHINES": "quad-4g tiny-2g", "BASE": "7.3", "BLOCKS": "6", "GATE": "true"}
    done, words = tried(place, PATCH="my series.mbox", QUICK="true", **told)
    assert done.returncode == 0, done.stderr
    found = options(words)
    assert (found.what, found.range) == ("my series.mbox", None)
    assert (found.machine, found.base, found.blocks) == (["quad-4g", "tiny-2g"], "7.3", 6)
    assert found.gate and found.quick and found.junit == Path("results/junit.xml")


def test_a_tree_and_a_range_are_two_words(place):
    _, words = tried(place, PATCH="my tree v6.12..mine")
    assert (options(words).what, options(words).range) == ("my tree", "v6.12..mine")
    assert not options(words).gate and options(words).machine is None


@pytest.mark.parametrize("patch", ["--help", "$(touch pwned)", "`touch pwned`; touch pwned"])
def test_no_patch_is_an_option_or_a_command(place, patch):
    done, words = tried(place, PATCH=patch)
    assert done.returncode == 0 and options(words).what == patch
    assert not (place / "pwned").exists()


@pytest.mark.parametrize("status", ["0", "1", "2"])
def test_status_and_summary(place, status):
    done, _ = tried(place, PATCH="x", STATUS=status, SUMMARY=str(place / "summary"))
    assert done.returncode == int(status) and "worse" in done.stdout
    text = (place / "summary").read_text()
    assert text.count("```") == 2 and "worse: ''' <b>" in text


def test_nothing_to_try_is_said(place):
    done, words = tried(place)
    assert done.returncode != 0 and "PATCH: what to try" in done.stderr and not words


def test_the_action_hands_every_input_over_and_none_into_a_script(place):
    used = set(re.findall(r"\$\{\{ inputs\.(\w+) \}\}", yaml.safe_dump(ACTION)))
    assert used == set(ACTION["inputs"])
    assert all("${{" not in step.get("run", "") for step in STEPS.values())
    known = set(re.findall(r"\$\{(\w+)[:}]", SCRIPT.read_text())) | {"PATCH"}
    assert set(STEPS["try"]["env"]) <= known
    assert set(GITLAB[".pageinit"]["variables"]) - {"PAGEINIT_CACHE"} <= known


@pytest.mark.parametrize("status", ["0", "1"])
def test_the_step_of_the_action_runs(place, status):
    action = {"GITHUB_ACTION_PATH": str(CONTRIB / "github")}
    files = {name: str(place / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    told = {**action, **files, "PATCH": "x", "RESULTS": "kept", "STATUS": status}
    done, words = tried(place, "bash", "-eo", "pipefail", "-c", STEPS["try"]["run"], **told)
    assert done.returncode == int(status), done.stderr
    assert (place / "GITHUB_OUTPUT").read_text() == f"status={status}\n"
    assert "### pageinit" in (place / "GITHUB_STEP_SUMMARY").read_text()
    assert options(words).results == Path("kept")


def test_the_image_takes_what_there_is():
    text = (CONTRIB / "Containerfile").read_text()
    for source in re.findall(r"^COPY (\S+) ", text, re.M):
        assert (ROOT / source).exists()
    share = "/opt/pageinit/share/pageinit/verdict.sh"
    assert share in GITLAB[".pageinit"]["script"][0]
    shared = '"contrib/verdict.sh" = "share/pageinit/verdict.sh"'
    assert shared in (ROOT / "pyproject.toml").read_text()
    assert "python3 -m venv /opt/pageinit" in text
