# SPDX-License-Identifier: GPL-2.0-only
"""What is removed of the cache."""

import pytest

from harness.cli import main


def test_a_clean_that_is_told_nothing_removes_nothing(checkout, tmp_path):
    (tmp_path / "cache/kernels/x").mkdir(parents=True)
    (tmp_path / "cache/work/x").mkdir(parents=True)
    assert main(["clean"]) == 0
    assert (tmp_path / "cache/kernels/x").exists()
    assert main(["clean", "work"]) == 0
    assert not (tmp_path / "cache/work").exists()
    assert (tmp_path / "cache/kernels/x").exists()


@pytest.mark.parametrize(
    "theirs",
    [
        "work/thesis.tex",
        "work/kernel/Makefile",
        "Documents/letter",
        "kernels/mine/vmlinux.c",
        "sources/README",
        "notes",
    ],
)
def test_a_folder_that_is_no_cache_of_ours_is_left_alone(checkout, tmp_path, capfd, theirs):
    file = tmp_path / "cache" / theirs
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("years of work")
    (tmp_path / "cache/work").mkdir(exist_ok=True)
    for _ in range(2):
        assert main(["clean", "work", "kernels", "sources"]) == 2
        said = capfd.readouterr().err
        assert str(tmp_path / "cache") in said and "CACHEDIR.TAG" in said
        assert file.read_text() == "years of work"
    assert main(["clean"]) == 0


def test_a_cache_that_another_program_tagged_is_no_cache_of_ours(checkout, tmp_path):
    (tmp_path / "cache/work").mkdir(parents=True)
    tag = "Signature: 8a477f597d28d172789f06886806bc55\n# This file was made by cargo.\n"
    (tmp_path / "cache/CACHEDIR.TAG").write_text(tag)
    assert main(["clean", "work"]) == 2
    assert (tmp_path / "cache/work").is_dir()


def test_a_part_that_lies_elsewhere_is_let_go_and_not_removed(checkout, tmp_path):
    (tmp_path / "elsewhere/6.12/linux").mkdir(parents=True)
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache/work").symlink_to(tmp_path / "elsewhere")
    assert main(["clean", "work"]) == 0
    assert not (tmp_path / "cache/work").exists()
    assert (tmp_path / "elsewhere/6.12/linux").is_dir()
