# SPDX-License-Identifier: GPL-2.0-only
"""``harness try``: from mails to a verdict. Patches and git are real, kernels of the store."""

import json
from pathlib import Path

import pytest

from harness import review
from harness.cli import main
from harness.kernel.store import Kernels
from harness.project import Project
from tests.support.posted import keep_kernels, lay_tree, lay_variant, write_mbox
from tests.support.sources import MAKEFILE, MM, series, tarball

HERE = ("--like", "two", "--machine", "small")


@pytest.fixture
def place(checkout):
    return lay_variant(checkout)


@pytest.fixture
def tree(tmp_path):
    return lay_tree(tmp_path)


@pytest.fixture
def mbox(tree):
    return write_mbox(tree)


def files(folder: Path) -> dict[str, bytes]:
    parts = ("kernel-patches", "qemu-configs", "experiments")
    found = (p for part in parts for p in (folder / part).rglob("*") if p.is_file())
    return {str(path): path.read_bytes() for path in found}


def test_a_series_is_tried_and_kept_as_an_experiment(place, mbox, capfd):
    before = files(place)
    keep_kernels(place, mbox)
    assert main(["try", str(mbox), *HERE]) == 0
    said = capfd.readouterr().out
    assert "mm: change 1: no difference." in said and "memmap_init" in said
    (reply,) = place.glob("results/try/*/*/*/reply.txt")
    assert max(map(len, reply.read_text().splitlines())) <= 80
    assert files(place) == before
    (made,) = place.glob("results/try/*/project")
    assert main(["--root", str(made), "plan", "mm-change-1"]) == 0
    boots = {path: path.stat().st_mtime_ns for path in place.glob("results/try/**/run.json")}
    assert len(boots) == 2
    assert main(["try", str(mbox), *HERE, "--json"]) == 0
    assert json.loads(capfd.readouterr().out.partition("{")[2].join(["{", ""]))["verdict"]
    assert {path: path.stat().st_mtime_ns for path in boots} == boots


def test_a_patch_that_does_not_apply_is_named_with_its_hunk(place, mbox, capfd):
    mbox.write_bytes(mbox.read_bytes().replace(b"-line 18\n", b"-line 81\n"))
    assert main(["try", str(mbox), *HERE]) == 2
    said = capfd.readouterr().err
    assert "0002-mm-change-2.patch" in said and "-line 81" in said and "does not apply" in said
    assert not list(place.glob("results/try/*/project"))


def test_the_bases_that_it_does_apply_to_are_named(place, tmp_path, capfd):
    """Another base, whose source is at hand, has the line that the patch changes."""
    other = MM.replace("line 18\n", "line 81\n")
    sha256 = tarball(tmp_path / "other.tar.xz", {"Makefile": MAKEFILE, "mm/page.c": other})
    bases = place / "kernel-patches/bases"
    (default,) = bases.glob("*.yaml")
    default.write_text(f"default: true\n{default.read_text()}")
    provider = f"{{tarball: {{path: {tmp_path}/other.tar.xz, sha256: {sha256}}}}}"
    (bases / "other.yaml").write_text(f"version: '6.12'\nprovider: {provider}\n")
    folder = series(tmp_path, "mine", other, other.replace("line 81\n", "LINE\n"))
    assert main(["try", str(folder), *HERE]) == 2
    assert "applies to: none of those at hand" in capfd.readouterr().err
    project = Project.find(place, place.parent / "cache")
    assert Kernels(project, on="other").base.tree
    assert main(["try", str(folder), *HERE]) == 2
    assert "applies to: other; name one with --base" in capfd.readouterr().err
    posting = review.gather([str(folder)], lambda: b"")
    plan = review.Plan("two", ("small",), base="other")
    made, name = review.lay_out(project, posting, plan, tmp_path / "r")
    kernels = Kernels(made, on="other")
    text = kernels.base.repository.read(kernels.tree(made.variant(name)).tree, "mm/page.c")
    assert text and "mark\n" in text and "LINE\n" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--blocks", "-1"], "--blocks: less than no block"),
        (["--machine", "nowhere"], "no machine called 'nowhere'"),
        (["--like", "nobody"], "no variant called 'nobody'"),
    ],
)
def test_wrong_words_are_2_and_boot_nothing(words, said, place, mbox, capfd):
    assert main(["try", str(mbox), *HERE, *words]) == 2
    assert said in capfd.readouterr().err
    assert not list(place.glob("results/try/**/run.json"))
