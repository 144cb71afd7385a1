# SPDX-License-Identifier: GPL-2.0-only
"""Whatever a guest says, what is shown of it drives nothing and reorders nothing."""

import html
import re
import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.text import UNSAFE, clean, markdown, one_line

DRIVES = "\x00\x07\x1b\x7f\x9b\r\u2028\ud800\uffff"
TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HIDES = "\u00ad\u200b\u2060\ufeff\U000e0041"
MARKED = ["<b>", "&lt;", "[a](b)", "![a](b)", "**a**", "_a_", "`a`", "~~a~~", "<http://a.b>", "\\|"]
foreign = st.lists(
    st.one_of(
        st.sampled_from([*(DRIVES + TURNS + HIDES + "\n\t _*[]`~|<&\\#"), *MARKED]), st.characters()
    )
).map("".join)
TAGS = ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]


def forbidden(text: str, *kept: str) -> set[str]:
    """Categories of control, format and surrogate characters, and of line separators."""
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}} - {*kept}


@pytest.mark.parametrize("character", DRIVES + TURNS + HIDES)
def test_what_drives_turns_or_hides_is_shown_as_one_mark(character: str) -> None:
    assert clean(f"a{character}b") == f"a{UNSAFE}b"


@given(foreign)
def test_clean_text_drives_nothing_and_is_as_long(text: str) -> None:
    shown = clean(text)
    assert not forbidden(shown, "\n", "\t")
    assert len(shown) == len(text) and clean(shown) == shown
    shown.encode()  # no lone surrogate
    assert all(a == b for a, b in zip(text, shown, strict=True) if b != UNSAFE)


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_people_write_stays(text: str) -> None:
    assert clean(text) == text and (one_line(text) or "") == text


@given(foreign, st.integers(1, 50))
def test_one_line_is_one_and_no_longer_than_asked(text: str, most: int) -> None:
    whole, cut = one_line(text), one_line(text, most)
    assert (whole is None) == (not text.strip("\n\t "))
    if whole is not None and cut is not None:
        assert not forbidden(whole) and whole == whole.strip(" ") and "  " not in whole
        assert len(whole) <= len(text) and one_line(whole) == whole
        assert len(cut) <= most and whole.startswith(cut) and one_line(cut, most) == cut


def test_nothing_to_say_is_nothing() -> None:
    assert [one_line(text) for text in (None, "", " \n\t")] == [None] * 3
    assert one_line("a b", 2) == "a"


@given(foreign)
def test_xml_takes_clean_text(text: str) -> None:
    element = ElementTree.Element("a", {"b": clean(text)})
    assert ElementTree.fromstring(ElementTree.tostring(element)).get("b") is not None


@given(st.lists(foreign, min_size=2, max_size=2))
def test_markdown_shows_the_text_and_nothing_else_in_a_cell(cells: list[str]) -> None:
    row = " | ".join(f"x{markdown(cell)}x" for cell in cells)
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    page = reader.render(f"| a | b |\n|---|---|\n| {row} |\n")
    assert re.findall(r"<(\w+)", page) == TAGS
    shown = page.split("<td>")[1:]
    for cell, said in zip(cells, shown, strict=True):
        text = html.unescape(said.partition("</td>")[0])
        assert text == f"x{clean(cell)}x".replace("\n", " ")


def test_markdown_begins_no_heading() -> None:
    assert "<h1" not in MarkdownIt("commonmark").render(markdown("# a"))


def test_an_underscore_in_a_name_needs_no_escape() -> None:
    assert markdown("page_alloc_init_late") == "page_alloc_init_late"
    assert markdown("_x_ a__b") == "\\_x\\_ a\\_\\_b"
