# SPDX-License-Identifier: GPL-2.0-only
"""A report from records made here, hostile ones among them."""

import pytest

from harness.report import render
from harness.results.folder import Results
from tests.support.page import Tags
from tests.support.records import tabulated


@pytest.fixture
def found():
    return tabulated()


def test_guest_text_never_becomes_markup(found, tmp_path):
    page, text = render.render(Results(tmp_path), found)
    tags = Tags.of(page)
    # The one script is ours: no other has the hash that the policy names.
    assert tags.names.count("script") == 1 and "iframe" not in tags.names
    assert tags.allowed == [tags.hash_of_script]
    assert page.count("<script") == 1 and "&lt;script&gt;" in page
    assert "\x1b" not in page + text and "\u202e" not in page + text
    assert "<script" not in text.replace("    </pre><script>", "")  # an indented block is verbatim


def test_the_report_is_one_file_with_figures(found, tmp_path):
    page, text = render.render(Results(tmp_path), found)
    assert page.count("<figure>") >= 8
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<link" not in page and "src=" not in page and "url(" not in page
    assert "default-src 'none'" in page
    assert "not of hardware" in page and "is not a time" in text


def test_the_same_dataset_gives_the_same_bytes(found, tmp_path):
    assert render.render(Results(tmp_path), found) == render.render(Results(tmp_path), found)


def test_headline_has_medians_ratios_and_failures(found):
    shown = render.headline(found)
    table = {
        (row[0].removesuffix(" †"), *row[1:3]): dict(zip(shown.head, row, strict=True))
        for row in shown.rows
    }
    assert table["eager", "m1", "time"]["boot"] == "1.10 s"
    assert table["grow", "m1", "time"]["boot"] == "110 ms"
    assert table["grow", "m1", "time"]["boot : baseline"] == "0.1"
    assert table["grow", "m1", "work"]["good boots"] == "0/1"
    assert table["eager", "m2", "work"]["memmap_init"] == "2 G"
    assert table["grow", "m1", "work"]["memmap_init"] == "-"
