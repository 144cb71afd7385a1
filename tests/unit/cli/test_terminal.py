# SPDX-License-Identifier: GPL-2.0-only
"""What is printed: whole at any width, and nothing that a terminal would obey."""

import io

import pytest

from harness.cli.terminal import Screen, print_table
from harness.report import Table

HEAD = ["machine", "metric", "variant", "verdict", "baseline", "difference", "change", "interval"]
ROW = ["quad-16g", "page_alloc_init_late", "deferred", "inconclusive: needs at least 6 blocks"]
ROW += ["1.29 s", "-144 ms", "-11.1%", "range -14.5% to -5.1%"]


def shown(width, *tables):
    file = io.StringIO()
    for table in tables:
        print_table(table, Screen(file=file, width=width))
    return file.getvalue()


@pytest.mark.parametrize("width", [240, 80, 40])
def test_no_column_that_matters_is_cut(width):
    """At 80 columns variant, machine, baseline and change were `…`."""
    said = shown(width, Table(HEAD, [ROW, ROW], "a title", 4, ("a note " * 20,)))
    assert "…" not in said and max(map(len, said.splitlines())) <= width
    for text in ("quad-16g", "page_alloc_init_late", "deferred", "1.29 s", "-144 ms", "-11.1%"):
        assert said.count(text) == 2
    assert " ".join(said.split()).count("inconclusive: needs at least 6 blocks") == 2
    if width == 80:
        (head,) = (line for line in said.splitlines() if line.startswith("machine"))
        assert head.split() == ["machine", "metric", "variant", "baseline", "change"]


def test_a_word_that_no_line_has_room_for_is_folded():
    said = shown(40, Table(["variant", "why"], [["v" * 90, "w" * 90]]))
    assert "".join(said.split()).count("v" * 90) == 1 and said.count("w") == 91


def test_a_table_of_two_words_stays_one():
    assert shown(40, Table(["a", "b"], [["1", "2"]])).split() == ["a", "b", "1", "2"]


def test_nothing_that_is_printed_drives_the_terminal():
    file = io.StringIO()
    screen = Screen(file=file, width=80, force_terminal=True)
    screen.print("\x1b]0;title\x07\x1b]52;c;eA==\x07\x9b2J\u202e", markup=False)
    print_table(Table(["a\x1b[2J"], [["\x1b]0;x\x07"]], "\x07"), screen)
    said = file.getvalue()
    assert not {"\x07", "\x9b", "\u202e"} & set(said) and "\x1b]" not in said
    assert "\x1b[2J" not in said
