# SPDX-License-Identifier: GPL-2.0-only
"""The harness as a wheel brings it: without a checkout, in any folder."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

pytest.importorskip("hatchling")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sdist and the wheel that is made from it."""
    out = tmp_path_factory.mktemp("dist")
    argv = [sys.executable, "-m", "build", "--no-isolation", "-o", str(out), str(ROOT)]
    subprocess.run(argv, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Runs `harness` of the wheel in an empty folder; nothing of the checkout is on its path."""
    site = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(next(built.glob("*.whl"))).extractall(site)
    empty = tmp_path_factory.mktemp("empty")
    env = {**os.environ, "PYTHONPATH": str(site), "PAGEINIT_CACHE": str(site / "cache")}

    def run(*words: str, cwd: Path = empty) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-P", "-m", "harness", *words]
        return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True)

    run.folder = empty
    return run


def test_twine_has_nothing_to_say_and_no_results_are_in_it(built):
    files = [str(path) for path in built.iterdir()]
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    assert not [name for name in names if "/results/reference/" in name]
    assert any(name.endswith("/kernel-patches/variants/eager.yaml") for name in names)


def test_a_plan_needs_no_checkout(installed):
    done = installed("plan", "quick")
    assert done.returncode == 0, done.stderr
    assert "quad-16g" in done.stdout and not list(installed.folder.iterdir())


def test_a_project_of_ones_own_wins_over_what_is_shipped(installed, tmp_path):
    assert installed("init", str(tmp_path / "lab")).returncode == 0
    machine = tmp_path / "lab/qemu-configs/quad-16g.yaml"
    machine.write_text(machine.read_text().replace("4GiB", "5GiB"))
    done = installed("plan", "quick", "--lines", cwd=tmp_path / "lab")
    assert "-m 20480M" in done.stdout or "-m 20G" in done.stdout, done.stdout[-2000:]
    again = installed("init", str(tmp_path / "lab"))
    assert again.returncode == 2 and "kernel-patches/ is there already" in again.stderr


def test_a_root_that_is_none_is_not_made_up_for(installed, tmp_path):
    done = installed("--root", str(tmp_path), "plan", "quick")
    assert done.returncode == 2 and "harness init" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_every_command_is_completed(installed, shell):
    pytest.importorskip("shtab")
    done = installed("completion", shell)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("doctor", "try", "bisect", "completion"))
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)
