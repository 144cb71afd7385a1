# SPDX-License-Identifier: GPL-2.0-only
"""``harness try``: from mails to a verdict. Patches and git are real, kernels of the store."""

import sys

import pytest

from harness import review
from harness.compare import CompareOptions, compare_variants, improvements, regressions
from harness.dataset import dataset
from harness.errors import PatchError, UserError
from harness.kernel.posting import read
from harness.kernel.store import Kernels
from harness.project import Project
from tests.support.checkout import ROOT
from tests.support.posted import git, keep_kernels, lay_tree, lay_variant, write_mbox
from tests.support.profiles import EAGER, written
from tests.support.sources import MM, series


@pytest.fixture
def place(checkout):
    return lay_variant(checkout)


@pytest.fixture
def tree(tmp_path):
    return lay_tree(tmp_path)


@pytest.fixture
def mbox(tree):
    return write_mbox(tree)


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


def test_functions_explain_what_changed_or_nothing_does(place, mbox, tmp_path, monkeypatch):
    keep_kernels(place, mbox)
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
