# SPDX-License-Identifier: GPL-2.0-only
"""A slow patch planted among harmless ones is found, in a series and in a range of commits."""

import json
import shutil
from pathlib import Path

import pytest

from harness.cli import main
from harness.kernels import Kernels
from harness.repository import environment
from harness.tool import run
from tests.real import ROOT

PLANTED = Path(__file__).parent / "planted"
VARIANT = """
description: eager, with a slow patch planted among harmless ones
role: broken
series: [boot-marks, planted]
fragments: [base, memory]
boot: [early_page_ext]
"""
SLOW = "0003-mm-linger-at-every-struct-page.patch"
ASK = ("--machine", "tiny-2g", "--metric", "memmap_init", "--above", "1.1x", "--json")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("kernel-patches", "qemu-configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copytree(PLANTED, tmp_path / "kernel-patches/planted")
    (tmp_path / "kernel-patches/variants/planted.yaml").write_text(VARIANT)
    return tmp_path


def bisect(checkout: Path, *words: str) -> int:
    root = ("--root", str(checkout), "bisect", "--results", str(checkout / "results"))
    return main([*root, *words, *ASK])


def test_a_slow_patch_is_found_with_one_boot_a_step_and_none_again(checkout, capfd):
    words = ("--series", "planted", "--variant", "planted")
    assert bisect(checkout, *words) == 0
    first = json.loads(capfd.readouterr().out)
    assert first["suspects"] == [SLOW]
    records = sorted(checkout.glob("results/bisect/*/runs/*/*/*/*/run.json"))
    assert len(records) == len(first["tried"]) <= 4
    stamps = [path.stat().st_mtime_ns for path in records]
    assert bisect(checkout, *words) == 0
    assert json.loads(capfd.readouterr().out) == first
    assert [path.stat().st_mtime_ns for path in records] == stamps


def test_a_slow_commit_is_found(checkout, kernels: Kernels, tmp_path, capfd):
    """The planted patches as commits of a kernel tree, which has the marks on top of each."""
    linux = tmp_path / "linux"
    origin = kernels.base.repo
    git = ["git", "-C", linux, "-c", "user.name=a", "-c", "user.email=a@b"]
    argv = ["git", "clone", "-q", "--shared", "--sparse", "--branch", "base", origin, linux]
    run(argv, env=environment())
    run([*git, "sparse-checkout", "set", "mm"], env=environment())
    for patch in sorted(PLANTED.glob("*.patch")):
        run([*git, "am", "-q", patch], env=environment())
    words = ("--range", "base..HEAD", "--tree", str(linux))
    assert bisect(checkout, *words) == 0
    (suspect,) = json.loads(capfd.readouterr().out)["suspects"]
    assert suspect.endswith("mm: linger at every struct page")
    run([*git, "checkout", "-q", "HEAD~1"], env=environment())
    assert bisect(checkout, "step", "--tree", str(linux), "--good", "base") == 1
