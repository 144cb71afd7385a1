# SPDX-License-Identifier: GPL-2.0-only
"""A slow patch planted among harmless ones is found, in a series and in a range of commits."""

import json
import shutil
from pathlib import Path

import pytest

from harness.cli import main
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
