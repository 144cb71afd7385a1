# SPDX-License-Identifier: GPL-2.0-only
"""What is removed of the cache."""

from harness.cli import main


def test_a_clean_that_is_told_nothing_removes_nothing(checkout, tmp_path):
    (tmp_path / "cache/kernels/x").mkdir(parents=True)
    (tmp_path / "cache/work/x").mkdir(parents=True)
    assert main(["clean"]) == 0
    assert (tmp_path / "cache/kernels/x").exists()
    assert main(["clean", "work"]) == 0
    assert not (tmp_path / "cache/work").exists()
    assert (tmp_path / "cache/kernels/x").exists()
