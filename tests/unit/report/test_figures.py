# SPDX-License-Identifier: GPL-2.0-only
"""What the figures of the report show of a dataset, on the committed ones."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.compare.series import series_of
from harness.dataset import dataset as analysis
from harness.report import render, sections
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
from harness.report.verdicts import compared, growth_tables, verdicts
from harness.results.folder import Results

REFERENCE = Path(__file__).parents[3] / "results" / "reference"
QUICK = REFERENCE / "quick"


@pytest.fixture(scope="module")
def context():
    return Context.of(analysis.load(QUICK))


def rows(spec, *columns):
    """The rows of every table of a chart that has these columns, each as a dict."""
    found = []
    for table in spec["datasets"].values():
        for record in table:
            flat = {key: value for key, value in record.items() if key != "variant"}
            if set(columns) <= set(flat):
                count = max([len(v) for v in flat.values() if isinstance(v, list)], default=1)
                lists = [v if isinstance(v, list) else [v] * count for v in flat.values()]
                found += [
                    {"variant": record["variant"], **dict(zip(flat, values, strict=True))}
                    for values in zip(*lists, strict=True)
                ]
    return found


def test_the_exemplar_is_the_boot_in_the_middle(context):
    phases = context.dataset.phases
    boots = phases[(phases.phase == "boot") & (phases.source == "mark") & ~phases.warmup]
    for cell, seen in context.chosen.items():
        mine = boots[(boots.variant == cell[0]) & (boots.machine == cell[1])]
        mine = mine[mine.clock == cell[2]]
        metric = "duration_s" if cell[2] == "time" else "instructions"
        took = dict(zip(mine.run_id, mine[metric], strict=True))
        assert took[seen.run_id] == sorted(took.values())[(len(took) - 1) // 2]


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
    assert not sections.reproduction(context, Results(tmp_path)).excerpts


def typed(command: str) -> list[str]:
    """The words that a shell makes of a command."""
    argv = ["sh", "-c", f"printf '%s\\n' {command}"]
    env = {"PATH": os.environ["PATH"], "PAGEINIT_CACHE": "/CACHE"}
    return subprocess.run(argv, env=env, capture_output=True, text=True).stdout.splitlines()


def test_the_line_of_a_cell_is_that_of_its_boot(context):
    section = sections.reproduction(context, Results(QUICK))
    assert len(section.excerpts) == len(context.chosen) == 12
    title, block = section.excerpts[0]
    assert title.startswith("eager")
    build, _, command = block.partition("\n")
    assert build == "harness build eager"
    cell = next(cell for cell in context.chosen if cell[1] in title and cell[0] in title)
    recorded = (QUICK / context.chosen[cell].evidence / "qemu.sh").read_text()
    argv = typed(recorded.partition("\nexec ")[2])
    said = typed(command)
    assert len(said) == len(argv) > 40
    differ = [(a, b) for a, b in zip(argv, said, strict=True) if a != b]
    assert [b.rpartition("/")[2] for _, b in differ] == ["bzImage", "initramfs.cpio"]
    for a, b in differ:
        assert a.endswith(b.removeprefix("/CACHE")) and b.startswith("/CACHE/")


def test_a_script_that_is_not_ours_gives_no_line():
    assert sections._words("#!/bin/sh\nrm -rf '") == []
    assert sections._words("\nexec 'open") == []


def test_verdicts_carry_the_marks_of_their_variants(context):
    found = compared(context.dataset)
    section = verdicts(context, found)
    shown = section.tables[0]
    at = shown.head.index("variant")
    assert {row[at] for row in shown.rows} == {
        w.name for v, w in context.who.items() if v != "eager"
    }
    assert shown.head.index("verdict") < shown.left
    assert len(section.figures) == 2
    folded = [table for table in section.tables if table.folded]
    assert folded and all(table.caption.startswith("All: ") for table in folded)


def test_the_intervals_have_the_order_of_the_legend():
    scale = Context.of(analysis.load(REFERENCE / "scale"))
    section = verdicts(scale, compared(scale.dataset))
    shown = sorted(rows(section.figures[0].spec, "word"), key=lambda row: row["row"])
    places = {who.name: who.place for who in scale.who.values()}
    owners = [places[row["variant"]] for row in shown]
    each = len(set(owners))
    assert len(owners) > 5 * each and owners == sorted(set(owners)) * (len(owners) // each)


def test_where_nothing_is_compared_there_is_no_verdict(context):
    dataset = context.dataset
    alone = replace(dataset, runs=dataset.runs[dataset.runs["variant"] != "eager"])
    assert compared(alone) is None and compared(replace(dataset, lock=None)) is None
    assert verdicts(context, None).empty


def test_lines_say_what_is_extrapolated(context):
    scale = Context.of(analysis.load(REFERENCE / "scale"))
    found = compared(scale.dataset)
    short, every = growth_tables(scale, found)
    assert every.folded and len(every.rows) > len(short.rows)
    assert short.head[-1] == "at 59TiB"
    assert {row[-1].endswith("extrapolated") for row in short.rows} == {True, False}
    # Two sizes make no line.
    assert not list(growth_tables(context, compared(context.dataset)))
    drawn = {f.caption.partition(":")[0]: f.spec for f in growths(scale, found)}
    work = drawn["memmap_init against guest memory, work clock"]
    # Only those that initialise all of it at once are straight.
    beyond = {row["variant"] for row in rows(work, "value") if row["kind"] == "beyond"}
    far = [row for row in rows(work, "more") if row["kind"] == "extrapolated"]
    assert beyond == {row["variant"] for row in far} and len(far) == 3
    assert all(row["more"] == ", EXTRAPOLATED" for row in far)


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
