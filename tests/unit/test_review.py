# SPDX-License-Identifier: GPL-2.0-only
"""``harness try``: from mails to a verdict. Patches and git are real, kernels of the store."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import review
from harness.cli import main
from harness.compare import CompareOptions, compare_variants, improvements, regressions
from harness.dataset import dataset
from harness.errors import PatchError, UserError
from harness.kernel.git import environment
from harness.kernel.posting import read
from harness.kernel.store import Kernels
from harness.project import Project
from tests.support.checkout import ROOT
from tests.support.profiles import EAGER, written
from tests.support.sources import MAKEFILE, MM, built_from_source, series, tarball
from tests.support.store import keep

HERE = ("--like", "two", "--machine", "small")


def git(tree: Path, *words: str) -> bytes:
    argv = ["git", "-C", str(tree), "-c", "user.name=A", "-c", "user.email=a@b", *words]
    return subprocess.run(argv, check=True, capture_output=True, env=environment()).stdout


@pytest.fixture
def place(checkout):
    """A checkout whose variant `two` is built from source, with the series `marks` in it."""
    patches = built_from_source(checkout, "series: [marks]\nboot: [x]")
    series(patches, "marks", MM, MM.replace("line 3\n", "line 3\nmark\n"))
    return checkout


@pytest.fixture
def tree(tmp_path):
    """A kernel tree with a tag, and on the branch `work` two commits above it."""
    folder = tmp_path / "linux"
    (folder / "mm").mkdir(parents=True)
    git(tmp_path, "init", "-q", "-b", "master", str(folder))
    text = MM
    for number, line in enumerate(("", "line 12\n", "line 18\n")):
        text = text.replace(line, line.upper()) if line else text
        (folder / "mm/page.c").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", f"mm: change {number}")
        git(folder, "tag", "v6.12") if not line else git(folder, "branch", "-f", "work")
    return folder


@pytest.fixture
def mbox(tree, tmp_path):
    path = tmp_path / "series.mbox"
    path.write_bytes(git(tree, "format-patch", "--stdout", "v6.12..work"))
    return path


def known(place: Path, mbox: Path) -> None:
    """Puts the kernels of both sides into the store."""
    project = Project.find(place, place.parent / "cache")
    plan = review.Plan("two", ("small",))
    made, name = review.lay_out(project, read(mbox.read_bytes(), "x"), plan, place / "results")
    for variant in ("two", name):
        keep(made, made.variant(variant))


def files(folder: Path) -> dict[str, bytes]:
    parts = ("kernel-patches", "qemu-configs", "experiments")
    found = (p for part in parts for p in (folder / part).rglob("*") if p.is_file())
    return {str(path): path.read_bytes() for path in found}


def test_a_series_is_tried_and_kept_as_an_experiment(place, mbox, capfd):
    before = files(place)
    known(place, mbox)
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


@pytest.mark.parametrize("how", ["stdin", "range", "branch", "folder"])
def test_a_series_comes_in_many_ways(how, tree, mbox, tmp_path):
    words = {"range": [str(tree), "v6.12..work"], "branch": [str(tree), "work"], "stdin": ["-"]}
    if how == "folder":
        git(tree, "format-patch", "-q", "-o", str(tmp_path / "out"), "v6.12..work")
        words["folder"] = [str(tmp_path / "out")]
    found = review.gather(words[how], mbox.read_bytes)
    assert [patch.subject for patch in found.patches] == ["mm: change 1", "mm: change 2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.mbox"], "no such file or folder, and no Message-ID"),
        ([".", "--output=/tmp/x"], "no range of commits"),
        ([".", "none..such"], "none"),
    ],
)
def test_what_is_no_series_is_said(words, said, tree, monkeypatch):
    monkeypatch.chdir(tree)
    with pytest.raises(UserError, match=said):
        review.gather(words, lambda: b"")


def test_a_message_id_needs_b4(monkeypatch):
    monkeypatch.setitem(sys.modules, "b4", None)
    with pytest.raises(UserError, match="needs b4") as error:
        review.gather(["https://lore.kernel.org/linux-mm/20130814@example.org/"], lambda: b"")
    assert "pageinit[b4]" in str(error.value)


def test_a_patch_that_does_not_apply_is_named_with_its_hunk(place, mbox, capfd):
    mbox.write_bytes(mbox.read_bytes().replace(b"-line 18\n", b"-line 81\n"))
    assert main(["try", str(mbox), *HERE]) == 2
    said = capfd.readouterr().err
    assert "0002-mm-change-2.patch" in said and "-line 81" in said and "does not apply" in said
    assert not list(place.glob("results/try/*/project"))


def lay_out(place, folder, out):
    posting = review.gather([str(folder)], lambda: b"")
    project = Project.find(place, place.parent / "cache")
    return review.lay_out(project, posting, review.Plan("two", ("small",)), out)


def test_what_stands_beside_the_marks_is_merged_with_them(place, tmp_path):
    folder = series(tmp_path, "mine", MM, MM.replace("line 5\n", "LINE 5\n"))
    made, name = lay_out(place, folder, tmp_path / "r")
    variant, kernels = made.variant(name), Kernels(made)
    assert variant.series == ("marks", name)
    text = kernels.base.repository.read(kernels.tree(variant).tree, "mm/page.c")
    assert text == MM.replace("line 3\n", "line 3\nmark\n").replace("line 5\n", "LINE 5\n")


def test_a_series_that_the_marks_stand_in_the_way_of_is_said(place, tmp_path):
    folder = series(tmp_path, "mine", MM, MM.replace("line 3\nline 4\n", "LINE\n"))
    with pytest.raises(PatchError, match="changes lines that marks needs"):
        lay_out(place, folder, tmp_path / "r")


def seen(baseline: str) -> review.Review:
    """As if `deferred` and `grow` of the committed dataset were a series on top of a variant."""
    found = dataset.load(ROOT / "results/reference/quick")
    comparison = compare_variants(found, CompareOptions(baseline, ("memmap_init",)))
    worse = tuple(regressions(comparison))
    better = tuple(improvements(comparison))
    posting = read(b"--- a/x\n+++ b/x\n", "mm: a change.diff")
    return review.Review(posting, None, found, comparison, None, worse, better)  # type: ignore[arg-type]


@pytest.mark.parametrize(("baseline", "word"), [("eager", "better"), ("deferred", "worse")])
def test_the_verdict_follows_from_the_rows(baseline, word):
    found = seen(baseline)
    assert found.word == word
    first = review.sentences(found)[0]
    assert f"memmap_init {'-' if word == 'better' else '+'}" in first
    assert f"mm: a change: {word}." in review.reply(found)


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


def test_functions_explain_what_changed_or_nothing_does(place, mbox, tmp_path, monkeypatch):
    known(place, mbox)
    project = Project.find(place, place.parent / "cache")
    plan = review.Plan("two", ("small",))
    made, name = review.lay_out(project, read(mbox.read_bytes(), "x"), plan, place / "results")
    # A QEMU that left no profile, one that died in it, one without plugins: that ends no review.
    assert review._why(made, name, plan, tmp_path / "none") == {}
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER, "early"))
    assert review._why(made, name, plan, tmp_path / "early") == {}
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER))
    found = review._why(made, name, plan, tmp_path / "whole")
    assert {machine: str(why) for machine, why in found.items()} == {"small": "no function differs"}
    monkeypatch.setenv("FAKE_QEMU", "no-plugins")
    assert review._why(made, name, plan, tmp_path / "refused") == {}
    # What is known is not booted again.
    assert review._why(made, name, plan, tmp_path / "whole").keys() == {"small"}
