# SPDX-License-Identifier: GPL-2.0-only
"""Series on a small tree made here."""

import pytest

from harness.errors import PatchError
from harness.kernel import patches
from tests.support.sources import MM, series


def test_a_series_applies_and_is_counted(fetched, tmp_path):
    one = series(tmp_path, "one", MM, MM.replace("line 5\n", "line five\nline more\n"))
    tree = patches.apply(fetched, [one])
    assert (tree.files, tree.added, tree.removed) == (("mm/page.c",), 2, 1)
    assert "line five" in fetched.repository.read(tree.tree, "mm/page.c")
    assert patches.apply(fetched, [one]) == tree


def test_a_patch_that_does_not_apply_names_file_hunk_and_base(fetched, tmp_path):
    old = MM.replace("line 5\n", "another line\n")
    bad = series(tmp_path, "bad", old, old.replace("line 6\n", "line six\n"))
    with pytest.raises(PatchError) as caught:
        patches.apply(fetched, [bad])
    text = str(caught.value)
    assert "0001-change.patch: does not apply to 6.12.1" in text
    assert "mm/page.c:3" in text and "@@ -3" in text and "-line 6" in text


def test_fuzz_is_never_used(fetched, tmp_path):
    # GNU patch would take this with fuzz 1: only the outermost context line differs.
    old = MM.replace("line 2\n", "line two\n")
    fuzzy = series(tmp_path, "fuzzy", old, old.replace("line 5\n", "line five\n"))
    with pytest.raises(PatchError, match="does not apply"):
        patches.apply(fetched, [fuzzy])


def test_applied_twice_is_told_apart(fetched, tmp_path):
    one = series(tmp_path, "one", MM, MM.replace("line 5\n", "line five\n"))
    two = series(tmp_path, "two", MM, MM.replace("line 5\n", "line five\n"))
    with pytest.raises(PatchError, match="already applied"):
        patches.apply(fetched, [one, two])


def test_a_series_that_names_no_patch(fetched, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "series").write_text("0001-gone.patch\n")
    with pytest.raises(PatchError, match=r"series:1: no patch called 0001-gone\.patch"):
        patches.apply(fetched, [tmp_path / "s"])
    (tmp_path / "s" / "series").write_text("../linux.tar.xz\n")
    with pytest.raises(PatchError, match="outside the folder"):
        patches.apply(fetched, [tmp_path / "s"])
