# SPDX-License-Identifier: GPL-2.0-only
"""A terminal, Markdown and HTML print the same table."""

import html
import io
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.cli import terminal
from harness.report import pages
from harness.report.document import Table
from harness.text import clean

MACROS = pages._environment().get_template("table.html.j2").module
WORD = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
A, B = ["a", "3", "x"], ["b", "4", "y"]
SHOWN = Table(["variant", "boots", "why"], [A, B], "title", 1, ("note",))


@st.composite
def grids(draw: st.DrawFn) -> Table:
    width = draw(st.integers(2, 4))
    row = st.lists(WORD, min_size=width, max_size=width)
    left = draw(st.integers(0, width))
    return Table(draw(row), draw(st.lists(row, min_size=1, max_size=4)), draw(WORD), left)


def read(page: str) -> list[list[str]]:
    """Head and rows of the only table in a page."""
    rows = re.findall(r"<tr.*?</tr>", page, re.S)
    return [
        [html.unescape(c) for c in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", r, re.S)] for r in rows
    ]


def printed(table: Table) -> str:
    """What a terminal shows."""
    before, terminal.out = (
        terminal.out,
        terminal.Screen(file=io.StringIO(), width=1000, highlight=False),
    )
    try:
        terminal.print_table(table)
        assert isinstance(terminal.out.file, io.StringIO)
        return terminal.out.file.getvalue()
    finally:
        terminal.out = before


@given(grids())
def test_markdown_and_html_hold_the_same_cells(table: Table) -> None:
    cells = [list(table.head), *map(list, table.rows)]
    page = MarkdownIt("commonmark").enable("table").render(table.markdown())
    assert read(page) == cells
    right = len(re.findall(r"<th style=.text-align:right", page))
    assert right == len(table.head) - table.left
    shown = MACROS.show_table(table, {})  # type: ignore[attr-defined]
    assert read(shown) == cells
    assert shown.count('class="word') == table.left * len(cells)
    caption = re.search("<caption>(.*)</caption>", shown)
    assert caption and html.unescape(caption[1]) == table.title


@given(grids())
def test_a_terminal_shows_every_cell_in_its_order(table: Table) -> None:
    lines = printed(table).splitlines()
    assert [line.split() for line in lines[1:]] == [list(table.head), *map(list, table.rows)]
    assert lines[0].strip() == clean(table.title)


def test_a_terminal_sets_figures_to_the_right_and_notes_below() -> None:
    lines = [line.rstrip() for line in printed(replace(SHOWN, left=2)).splitlines()]
    rows = ["variant  boots  why", "a        3        x", "b        4        y"]
    assert lines == ["title", *rows, "note"]
    assert printed(replace(SHOWN, rows=[])) == "note\n"
    row = ["\x1b[31m", "[bold]", "z\\"]
    evil = printed(replace(SHOWN, title="[red]\x1b", rows=[row], notes=("[b]\x1b",)))
    told = [["[red]\ufffd"], [*SHOWN.head], ["\ufffd[31m", *row[1:]], ["[b]\ufffd"]]
    assert [line.split() for line in evil.splitlines()] == told


def test_rows_are_chosen_and_told_by_column() -> None:
    assert SHOWN.where("variant", "b".__eq__).rows == [B]
    assert SHOWN.where("metric", "b".__eq__) == SHOWN
    told = SHOWN.told("boots", "{} boots".format)
    assert told.rows == [["a", "3 boots", "x"], ["b", "4 boots", "y"]]
    assert SHOWN.told("metric", str.upper) == SHOWN
    assert SHOWN.caption == "title; note" and replace(SHOWN, title="").caption == "note"
