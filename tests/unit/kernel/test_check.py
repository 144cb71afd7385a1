# SPDX-License-Identifier: GPL-2.0-only
"""What is said of series in kernel-patches/README.md is true of the patches that are there."""

import re
from pathlib import Path

import pytest

from harness.errors import PatchError, UserError
from harness.gate.checks import SCENARIO_SERIES
from harness.kernel import check, patches
from harness.model.variant import Variant
from tests.support.series import PATCHES, PROJECT, RECORDS, subjects

LOOKED = [(base, found) for base, record in RECORDS.items() for found in record.series]


def lines(patch: Path) -> tuple[int, int]:
    """Lines that a patch adds and removes, from its hunks."""
    added = removed = left_old = left_new = 0
    for line in patch.read_text().splitlines():
        if head := re.match(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line):
            left_old, left_new = (int(n) if n else 1 for n in head.groups())
        elif left_old > 0 or left_new > 0:
            added += line.startswith("+")
            removed += line.startswith("-")
            left_old -= not line.startswith("+")
            left_new -= not line.startswith("-")
    return added, removed


@pytest.fixture(params=LOOKED, ids=lambda one: f"{one[1].series}-{one[0]}")
def looked(request) -> tuple[Path, check.SeriesReport]:
    """The folder of a series on a base, and what was found there."""
    base, found = request.param
    return PROJECT.port(found.series, PROJECT.base(base)), found


def test_every_series_was_looked_at() -> None:
    """But for the one that is no proposal: what the gate puts below a kernel, to be found by it."""
    found = {path.parent for path in PATCHES.glob("*/**/series")}
    folders = sorted(found - {PATCHES / SCENARIO_SERIES})
    assert sorted({PROJECT.port(f.series, PROJECT.base(base)) for base, f in LOOKED}) == folders


@pytest.mark.parametrize("base", RECORDS)
def test_every_series_was_looked_at_in_its_place(base: str) -> None:
    asked = [(s.series, s.after, s.fragments) for s in subjects(base)]
    assert [(f.series, f.after, f.fragments) for f in RECORDS[base].series] == asked


def test_the_record_is_of_these_patches(looked) -> None:
    folder, found = looked
    there = {path.name: check.digest(path) for path in patches.read_series(folder)}
    looked = {prefix.patch: prefix.sha256 for prefix in found.prefixes}
    assert looked == there, "run: harness patches --write"


def test_lines_are_those_of_the_patches(looked) -> None:
    folder, found = looked
    counted = [lines(path) for path in patches.read_series(folder)]
    assert counted == [(prefix.added, prefix.removed) for prefix in found.prefixes]
    # Lines that one patch adds and another removes are no part of the whole.
    assert found.added - found.removed == sum(a - r for a, r in counted)
    letter = (folder / "0000-cover-letter.patch").read_text()
    stat = re.search(r"^ (\d+) files? changed(.*)$", letter, re.M)
    assert stat
    parts = {word: int(n) for n, word in re.findall(r"(\d+) (insertion|deletion)", stat[2])}
    assert int(stat[1]) == found.files
    assert (parts["insertion"], parts.get("deletion", 0)) == (found.added, found.removed)


def test_nothing_is_left_to_answer(looked) -> None:
    _, found = looked
    assert not found.problems
    assert all(prefix.built and not prefix.warnings for prefix in found.prefixes)


def test_answers_are_those_of_the_series_and_its_letter(looked) -> None:
    folder, found = looked
    known = check.answers(folder)
    given = {c.type: c.answer for prefix in found.prefixes for c in prefix.complaints}
    assert given == known
    letter = (folder / "0000-cover-letter.patch").read_text()
    assert not known or "checkpatch" in letter


def test_a_series_is_looked_at_once_in_each_place() -> None:
    def variant(name: str, *series: str, boot: str = "quiet") -> Variant:
        return Variant(name=name, description="", series=series, fragments=("base",), boot=(boot,))

    every = [
        variant("a", "marks", "one"),
        variant("b", "marks", "one", boot="x"),
        variant("c", "one"),
    ]
    found = check.subjects(every)
    assert [(s.series, s.after) for s in found] == [("marks", ()), ("one", ("marks",)), ("one", ())]
    assert [s.after for s in check.subjects(every, ["one"])] == [("marks",), ()]
    with pytest.raises(UserError, match="two: no variant names this series") as caught:
        check.subjects(every, ["two"])
    assert "marks, one" in str(caught.value)


SAID = """\
/p/0001-x.patch:40: WARNING:FILE_PATH_CHANGES: added file(s), does MAINTAINERS need updating?
/p/0001-x.patch:265: CHECK:CAMELCASE: Avoid CamelCase: <__ClearPageBuddy>
a line that is none
"""


def test_what_checkpatch_says_is_answered_by_type(tmp_path: Path) -> None:
    found = check.parse(SAID)
    assert [(c.line, c.level, c.type) for c in found] == [
        (40, "WARNING", "FILE_PATH_CHANGES"),
        (265, "CHECK", "CAMELCASE"),
    ]
    text = "# about\n# checkpatch: CAMELCASE it is called so\n0001-x.patch\n"
    (tmp_path / "series").write_text(text)
    (tmp_path / "0001-x.patch").write_text("")
    assert [p.name for p in patches.read_series(tmp_path)] == ["0001-x.patch"]
    answers = [c.answer for c in check.answered(found, check.answers(tmp_path))]
    assert answers == [None, "it is called so"]


@pytest.mark.parametrize("line", ["# checkpatch: CAMELCASE", "# checkpatch says nothing"])
def test_an_answer_needs_a_reason(tmp_path: Path, line: str) -> None:
    (tmp_path / "series").write_text(f"{line}\n")
    with pytest.raises(PatchError, match=r"series:1: .*# checkpatch: TYPE reason"):
        check.answers(tmp_path)


def test_a_warning_is_new_whatever_line_it_has_moved_to() -> None:
    old = ["../mm/a.c:10:5: warning: unused variable 'x'", "../mm/a.c:90:5: warning: odd"]
    new = ["../mm/a.c:12:5: warning: unused variable 'x'", "../mm/a.c:50:1: warning: odd"]
    assert check.fresh(new, old) == ()
    again = "../mm/a.c:70:5: warning: unused variable 'x'"
    other = "../mm/b.c:12:5: warning: unused variable 'x'"
    assert check.fresh([*new, again, other], old) == (again, other)


def test_lines_of_code_are_neither_blank_nor_comments():
    patch = """\
diff --git a/mm/a.c b/mm/a.c
--- a/mm/a.c
+++ b/mm/a.c
@@ -1,3 +1,9 @@
 /*
+ * A comment that was there goes on.
  */
+/* one line */
+int one; /* behind */
+
+/*
+ * Three lines,
+ */
+int two; // and this
-int gone;
@@ -9,2 +15,3 @@
+ * a hunk begins within a comment
+	*pointer = 1;
diff --git a/Documentation/a.rst b/Documentation/a.rst
--- /dev/null
+++ b/Documentation/a.rst
@@ -0,0 +1 @@
+words
diff --git a/mm/Kconfig b/mm/Kconfig
--- a/mm/Kconfig
+++ b/mm/Kconfig
@@ -0,0 +2 @@
+# a comment
+config A
{end}2.39.5
"""
    assert check.lines_of_code(patch.replace("{end}", "-- \n")) == 4
