# SPDX-License-Identifier: GPL-2.0-only
"""``harness fastpath``: its tables, and the committed record that documents quote."""

import pytest

from harness.cli import main
from harness.cli.fastpath import DATASETS, RECORD, changed_rows, elsewhere_rows, touch_rows, touched
from harness.dataset import dataset
from harness.kernel.fastpath import Shapes
from tests.support.checkout import ROOT
from tests.support.store import lay_sources

REFERENCE = ROOT / "results" / "reference"
SHAPES = Shapes.model_validate_json((ROOT / RECORD).read_bytes())


def test_what_was_taken_apart_is_what_ran() -> None:
    known = {shape.variant: shape.kernel_id for shape in SHAPES.variants}
    for name in DATASETS:
        runs = dataset.load_tables(REFERENCE / name)["runs"]
        assert set(runs["outcome"]) == {"ok"}
        for variant, kernel_id in zip(runs["variant"], runs["kernel_id"], strict=True):
            assert known[variant] == kernel_id, f"{name}: {variant}"


def test_the_words_of_the_document_are_those_of_its_tables() -> None:
    text = " ".join((ROOT / "docs/fast-path.md").read_text().split())
    ran = touched([REFERENCE / name for name in DATASETS])["fast-path"]

    def more(variant: str, kind: str) -> float:
        return ran[variant][kind] - ran["eager"][kind]

    def grown(variant: str) -> int:
        shapes = {shape.variant: shape for shape in SHAPES.variants}
        return sum(change.added - change.removed for change in shapes[variant].changes)

    same = [v for v in ran if v != "eager" and not grown(v)]
    assert len(same) == 4 and "The four variants" in text
    within = [*same, "on-demand", "lazy"]
    assert all(abs(more(variant, "touch-recycled")) < 5 for variant in within)
    assert more("lazy", "touch-recycled") < 0
    assert f"{grown('on-demand')} instructions in two functions" in text
    first, base = more("on-demand", "first-touch"), ran["eager"]["first-touch"]
    assert f"it is {first:.0f} of {base:.0f} instructions here, {first / base:.1%}" in text.replace(
        " %", "%"
    )
    assert f"for each page: {more('grow', 'touch-recycled'):.0f} instructions" in text
    assert f"refilled, {grown('lazy')} instructions in one function" in text
    assert max(ran, key=lambda variant: more(variant, "first-touch")) == "zero-check"


def test_every_variant_has_its_rows():
    rows = changed_rows(SHAPES)
    assert {row[0] for row in rows} == {shape.variant for shape in SHAPES.variants} - {"eager"}
    same = [shape.variant for shape in SHAPES.variants if not any(
        change.added or change.removed for change in shape.changes)]  # fmt: skip
    assert [row[0] for row in rows if row[2] == "none"] == [v for v in same if v != "eager"]
    for row in (row for row in rows if row[2] != "none"):
        size, more = row[3].removesuffix(")").split(" (")
        assert int(more) == int(row[4]) + int(row[5]) and int(size) >= int(more)


def test_what_a_kernel_lacks_is_not_what_it_has_alone():
    for variant, _, count in elsewhere_rows(SHAPES):
        shape = next(shape for shape in SHAPES.variants if shape.variant == variant)
        sizes = shape.new if count[0] == "+" else shape.gone
        assert int(count[1:]) in {size.instructions for size in sizes}


def test_a_touched_page_stands_beside_that_of_the_baseline():
    ran = {"a": {"eager": {"first-touch": 6000.0}, "lazy": {"first-touch": 6100.5}}}
    rows = {row[0]: row[1] for row in touch_rows(ran)}
    assert rows == {"eager": "6000.0", "lazy": "6100.5 (+100.5)"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--write", "eager"], "--write keeps all variants"),
        (["one"], "a prebuilt kernel has no functions"),
        (["nobody"], "no variant called 'nobody'"),
    ],
)
def test_wrong_words_are_2(words, said, checkout, capfd):
    lay_sources(checkout, ("eager",))
    assert main(["fastpath", *words]) == 2
    assert said in capfd.readouterr().err
