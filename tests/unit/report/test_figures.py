# SPDX-License-Identifier: GPL-2.0-only
"""What the figures of the report show of a dataset, on the committed ones."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.compare.series import series_of
from harness.dataset import dataset as analysis
from harness.report import render
from harness.report.context import Context
from harness.report.figures import (
    INITIALISING,
    PARTS,
    REST,
    distributions,
    growths,
    host_memory,
    stacks,
)
from harness.report.verdicts import compared, verdicts
from harness.results.folder import Results
from tests.support.charts import rows

REFERENCE = Path(__file__).parents[3] / "results" / "reference"
QUICK = REFERENCE / "quick"


def test_the_parts_of_a_boot_add_up(context):
    section = stacks(context)
    # Two machines: each by the time clock, and by the work clock whole and without the rest.
    assert len(section.figures) == 6
    for figure in section.figures:
        whole = "the whole boot" in figure.caption
        bars = rows(figure.spec, "part")
        for variant in context.who.values():
            mine = [bar for bar in bars if bar["variant"] == variant.name]
            assert [b["part"] for b in mine] == list((*PARTS, REST) if whole else INITIALISING)
            assert [b["start"] for b in mine] == pytest.approx([0, *(b["end"] for b in mine)][:-1])
            assert not whole or sum(b["share"] for b in mine) == pytest.approx(1)


def test_phases_that_overlap_are_not_stacked(context):
    cell = ("eager", "quad-16g", "time")
    seen = context.chosen[cell]
    late = seen.intervals["memmap_init"][1] - 1e-6
    crossed = replace(seen, intervals={**seen.intervals, "memblock_free_all": (late, late + 1)})
    wrong = replace(context, chosen={**context.chosen, cell: crossed})
    figures = {f.caption.partition(":")[0]: f.spec for f in stacks(wrong).figures}
    spec = next(spec for title, spec in figures.items() if "quad-16g" in title and "time" in title)
    assert {bar["variant"] for bar in rows(spec, "part")} == {"deferred", "grow"}


def test_host_memory_is_aligned_with_the_phases(context):
    (figure,) = host_memory(context, Results(QUICK)).figures
    assert "quad-64g" in figure.caption and "not seconds of hardware" in figure.caption
    samples, phases = rows(figure.spec, "resident"), rows(figure.spec, "begin")
    assert {row["variant"] for row in samples} == {"eager", "deferred", "grow"}
    # memmap_init of eager ends where the line is steep: it is what makes resident pages.
    (init,) = (p for p in phases if (p["variant"], p["part"]) == ("eager", "memmap_init"))
    eager = [row for row in samples if row["variant"] == "eager"]
    inside = [r["resident"] for r in eager if init["begin"] <= r["second"] <= init["end"]]
    rise = max(inside) - min(inside)
    assert rise > 0.4 * max(row["resident"] for row in eager)


def test_a_variant_looks_the_same_in_every_figure(context):
    found = compared(context.dataset)
    figures = [*growths(context, found), *verdicts(context, found).figures]
    figures += [*host_memory(context, Results(QUICK)).figures]
    figures += distributions(context, series_of(context.dataset)).figures
    scale = Context.of(analysis.load(REFERENCE / "scale"))
    looks = {}
    for figure in (*figures, *growths(scale, None)):
        for name, scales in scales_of(figure.spec):
            for variant, look in zip(scales["domain"], scales["range"], strict=True):
                looks.setdefault((name, variant), set()).add(look)
    assert {variant for _, variant in looks} >= set(context.who) | set(scale.who)
    assert all(len(look) == 1 for look in looks.values())


def scales_of(part):
    """The scales of colours and forms of variants in a chart."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if not isinstance(value, dict | list):
            continue
        if key in ("color", "shape") and value.get("field") == "variant" and "scale" in value:
            yield key, value["scale"]
        else:
            yield from scales_of(value)


def test_cells_without_a_good_boot_are_shown_as_failed():
    limit = Context.of(analysis.load(REFERENCE / "limit"))
    spec = next(f.spec for f in growths(limit, None) if "boot against" in f.caption)
    failed = [row for row in rows(spec, "more") if row["kind"] == "failed"]
    assert len(failed) == 13 and {row["more"] for row in failed} == {"killed", "stalled"}
    assert all(row["median"] is None for row in failed)


def test_without_evidence_there_is_no_figure_of_it(context, tmp_path):
    assert not host_memory(context, Results(tmp_path)).figures


@pytest.mark.parametrize("name", ["quick", "scale", "gate"])
def test_a_report_is_small_and_always_the_same(name):
    folder = REFERENCE / name
    found = analysis.load(folder)
    files = render.files(Results(folder), found)
    page, text = files["report.html"], files["report.md"]
    assert len(page.encode()) < 3_000_000 and len(text.encode()) < 600_000
    assert files == render.files(Results(folder), found)
    for variant in Context.of(found).who.values():
        assert f'class="{variant.owner}"' in page
    # Each picture of the text is a file, and each file is in the text.
    pictures = {file for file in files if file.startswith("figures/")}
    assert pictures == set(re.findall(r"^!\[.*\]\((.*)\)$", text, re.M)) and pictures
    for picture in pictures:
        assert ElementTree.fromstring(files[picture]).tag == "{http://www.w3.org/2000/svg}svg"
        assert len(files[picture]) < 80_000
