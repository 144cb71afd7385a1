# SPDX-License-Identifier: GPL-2.0-only
"""A slow patch planted among harmless ones is found, in a series and in a range of commits."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bisect import CommitRange
from harness.cli import main
from harness.kernel.store import Kernels
from tests.support.real import ROOT, until

PLANTED = Path(__file__).parent / "planted"
VARIANT = """
description: eager, with a slow patch planted among harmless ones
role: broken
series: [boot-marks, planted]
fragments: [base, memory]
boot: [early_page_ext]
"""
SLOW = "0003-mm-linger-at-every-struct-page.patch"
SUBJECT = "mm: linger at every struct page"
METRIC = ("--machine", "tiny-2g", "--metric", "memmap_init")
ASK = (*METRIC, "--above", "1.1x", "--json")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("kernel-patches", "qemu-configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copytree(PLANTED, tmp_path / "kernel-patches/planted")
    (tmp_path / "kernel-patches/variants/planted.yaml").write_text(VARIANT)
    return tmp_path


def words_of(checkout: Path, *words: str) -> list[str]:
    return ["--root", str(checkout), "bisect", *words, "--results", str(checkout / "results")]


def records(checkout: Path) -> list[Path]:
    return sorted(checkout.glob("results/bisect/*/runs/*/*/*/*/run.json"))


def test_a_slow_patch_is_found_with_one_boot_a_step_and_none_again(checkout, capfd):
    words = words_of(checkout, "--series", "planted", "--variant", "planted", *ASK)
    assert main(words) == 0
    first = json.loads(capfd.readouterr().out)
    assert first["suspects"] == [SLOW]
    assert len(records(checkout)) == len(first["tried"]) <= 4
    stamps = [path.stat().st_mtime_ns for path in records(checkout)]
    assert main(words) == 0
    assert json.loads(capfd.readouterr().out) == first
    assert [path.stat().st_mtime_ns for path in records(checkout)] == stamps


def git(tree: Path, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
    argv = ["git", "-C", tree, "-c", "user.name=a", "-c", "user.email=a@b", *words]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **more}
    return subprocess.run(argv, env=env, check=True, text=True, capture_output=True)


@pytest.fixture
def linux(kernels: Kernels, checkout: Path) -> Iterator[Path]:
    """A kernel tree with the planted patches as commits. What was built of it is removed."""
    tree, cache = checkout / "linux", kernels.project.cache
    origin = kernels.base.repo
    git(checkout, "clone", "-q", "--shared", "--sparse", "--branch", "base", origin, tree)
    git(tree, "sparse-checkout", "set", "mm")
    # Trees that the test above has not built.
    (tree / "mm/NOTE").write_text("not in the series\n")
    git(tree, "add", "--force", "mm/NOTE")  # Debian's .gitignore has it all
    git(tree, "commit", "-q", "-m", "mm: add a note")
    git(tree, "am", "-q", *sorted(PLANTED.glob("*.patch")))
    before = {path.name for path in (cache / "kernels").iterdir()}
    folder = CommitRange.open(tree, cache).own.path.parent
    yield tree
    built = {json.loads(path.read_text())["kernel"]["kernel_id"] for path in records(checkout)}
    for name in built - before:
        shutil.rmtree(cache / "kernels" / name)
    shutil.rmtree(cache / "work" / folder.name, ignore_errors=True)
    shutil.rmtree(folder)


def builders(work: Path) -> list[str]:
    """The processes whose current folder is in a work tree."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            place = (path / "cwd").readlink()
        except OSError:
            continue
        found += [path.name] if place.is_relative_to(work) else []
    return found


def test_a_slow_commit_is_found_although_it_was_killed_in_the_middle(
    checkout, linux, kernels, capfd
):
    words = words_of(checkout, "--range", "origin/base..HEAD", "--tree", str(linux), *ASK)
    cache = kernels.project.cache
    work = cache / "work" / CommitRange.open(linux, cache).own.path.parent.name
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        until(lambda: records(checkout) and len(list(work.glob("linux/build-*/init/*.o"))), 300)
    finally:
        process.kill()
        process.wait()
    until(lambda: not builders(work), 10)
    (good,) = records(checkout)
    stamp = good.stat().st_mtime_ns

    assert main(words) == 0
    found = json.loads(capfd.readouterr().out)
    (suspect,) = found["suspects"]
    assert suspect.endswith(SUBJECT)
    assert len(found["tried"]) <= 2 + 3
    assert good.stat().st_mtime_ns == stamp

    # And git's own bisection, by the line of docs/bisect.md.
    above = str(int(found["tried"][0]["value"] * 1.1))
    git(linux, "bisect", "start", "HEAD", "origin/base")
    step = words_of(checkout, "step", "--tree", ".", *METRIC, "--above", above)
    argv = ["bisect", "run", sys.executable, "-m", "harness", *step]
    said = git(linux, *argv, PYTHONPATH=str(ROOT)).stdout
    first = git(linux, "log", "-1", "--format=%s", "refs/bisect/bad").stdout.strip()
    assert first == SUBJECT, said
