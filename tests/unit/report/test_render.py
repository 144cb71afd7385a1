# SPDX-License-Identifier: GPL-2.0-only
"""A report from records made here, hostile ones among them."""

import json
import re
import shutil
from pathlib import Path

import pytest

from harness.dataset import dataset
from harness.report import render, vega
from harness.results.folder import Results
from harness.text import clean
from tests.support.checkout import ROOT
from tests.support.page import Tags
from tests.support.records import lock, stored, tabulated


@pytest.fixture
def found():
    return tabulated()


def test_guest_text_never_becomes_markup(found, tmp_path):
    page, text = render.render(Results(tmp_path), found)
    tags = Tags.of(page)
    # The scripts are ours: no other has a hash that the policy names.
    assert tags.names.count("script") == 3 and "iframe" not in tags.names
    assert len(tags.allowed) == 2 and tags.allowed == tags.hashes_of_scripts
    assert tags.scripts[0] == vega.library() and len(tags.data) == 1
    assert "University of Washington Interactive Data Lab" in tags.scripts[0]
    assert page.count("<script") == 3 and "&lt;script&gt;" in page
    assert "\x1b" not in page + text and "\u202e" not in page + text
    assert "<script" not in text.replace("    </pre><script>", "")  # an indented block is verbatim


def test_names_of_a_foreign_dataset_are_data(tmp_path):
    nasty = (
        "</script><script>alert(1)</script>",
        "<!--\u2028'\"];alert(1)//",
        "__proto__",
        "{{7*7}}",
    )
    runs = [
        stored((variant, machine, clock), block, 1 + number)
        for number, variant in enumerate(("eager", *nasty))
        for machine in ("m1", "m2")
        for clock in ("time", "work")
        for block in range(3)
    ]
    files = render.files(Results(tmp_path), dataset.tabulate(runs, lock(), root=Path("results")))
    tags = Tags.of(files["report.html"])
    assert tags.names.count("script") == 3 and tags.allowed == tags.hashes_of_scripts
    assert not {"<", ">", "&", "\u2028"} & set(tags.data[0])
    shown = json.loads(tags.data[0])
    assert len(shown["specs"]) == files["report.html"].count("<figure") >= 8
    tables = [table for spec in shown["specs"] for table in spec["datasets"].values()]
    names = {row["variant"] for table in tables for row in table} - {""}
    assert names == {f"{clean(name)} †" for name in ("eager", *nasty)}
    pictures = [text for name, text in files.items() if name.endswith(".svg")]
    assert pictures and not any("<script" in picture for picture in pictures)
    assert any("&lt;/script&gt;" in picture for picture in pictures)
    assert not any("__proto__" in name or "script" in name for name in files)


def test_the_report_is_one_file_with_figures(found, tmp_path):
    page, text = render.render(Results(tmp_path), found)
    assert page.count("<figure ") == page.count('<div class="still"><svg') >= 8
    own = page.replace(vega.library(), "")
    assert "http://" not in own.replace("http://www.w3.org", "")
    assert "https://" not in own.replace("https://vega.github.io/schema/", "")
    assert "<link" not in page and "src=" not in own and "url(" not in own
    assert "default-src 'none'" in page and "unsafe-eval" not in page
    assert "not of hardware" in page and "is not a time" in text


@pytest.mark.parametrize("name", ["quick", "scale"])
def test_a_page_begins_with_three_sentences_a_picture_and_its_table(name):
    folder = ROOT / "results/reference" / name
    page, _ = render.render(Results(folder), dataset.load(folder))
    first = page.partition("<main>")[2].partition("</section>")[0]
    assert ">What was found</h2>" in first
    assert 1 <= first.count('<p class="finding">') <= 3
    open_ = re.sub(r"<details>.*?</details>", "", first, flags=re.S)
    assert open_.count("<figure") == open_.count("<table") == 1
    assert open_.index('class="finding"') < open_.index("<figure") < open_.index("<table")
    assert 4 <= open_.count("<tr") <= 24
    assert "<summary><h2>Environment</h2></summary>" in page


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


def test_publish_writes_the_pictures_of_the_text_and_removes_old_ones(tmp_path):
    results = Results(tmp_path / "quick")
    shutil.copytree(ROOT / "results/reference/quick", results.path)
    old = results.path / render.PICTURES / "999-no-longer-there.svg"
    old.write_text("<svg/>")
    (results.path / render.PICTURES / "keep.txt").write_text("of somebody else")
    render.publish(results)
    names = {f"{render.PICTURES}/{path.name}" for path in old.parent.glob("*.svg")}
    text = (results.path / render.TEXT).read_text()
    assert names and names == set(re.findall(r"^!\[.*\]\((.*)\)$", text, re.M))
    assert (old.parent / "keep.txt").exists()
