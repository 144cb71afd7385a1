# SPDX-License-Identifier: GPL-2.0-only
"""What the figures of the report show of a dataset, on the committed ones."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.dataset import dataset as analysis
from harness.report import render, sections
from harness.report.context import Stage
from harness.report.figures import INITIALISING, PARTS, REST, growths, host_memory, stacks
from harness.report.verdicts import compared, growth_tables, verdicts
from harness.results.folder import Results

REFERENCE = Path(__file__).parents[3] / "results" / "reference"
QUICK = REFERENCE / "quick"


@pytest.fixture(scope="module")
def stage():
    return Stage.of(analysis.load(QUICK))


def svgs(section):
    return [ElementTree.fromstring(figure.svg) for figure in section.figures]


def test_the_exemplar_is_the_boot_in_the_middle(stage):
    phases = stage.dataset.phases
    boots = phases[(phases.phase == "boot") & (phases.source == "mark") & ~phases.warmup]
    for cell, seen in stage.chosen.items():
        mine = boots[(boots.variant == cell[0]) & (boots.machine == cell[1])]
        mine = mine[mine.clock == cell[2]]
        metric = "duration_s" if cell[2] == "time" else "instructions"
        took = dict(zip(mine.run_id, mine[metric], strict=True))
        assert took[seen.run_id] == sorted(took.values())[(len(took) - 1) // 2]


def test_the_parts_of_a_boot_add_up(stage):
    section = stacks(stage)
    assert section.parts == (*PARTS, REST)
    # Two machines: each by the time clock, and by the work clock whole and without the rest.
    assert len(section.figures) == 6
    for figure, root in zip(section.figures, svgs(section), strict=True):
        whole = "the whole boot" in figure.caption
        for bar in root.iter("g"):
            shares = [
                int(re.search(r"\((\d+)% of the boot\)", "".join(part.itertext()))[1])
                for part in bar.iter("rect")
            ]
            assert len(shares) == (5 if whole else len(INITIALISING))
            assert not whole or abs(sum(shares) - 100) <= 2


def test_phases_that_overlap_are_not_stacked(stage):
    cell = ("eager", "quad-16g", "time")
    seen = stage.chosen[cell]
    late = seen.intervals["memmap_init"][1] - 1e-6
    crossed = replace(seen, intervals={**seen.intervals, "memblock_free_all": (late, late + 1)})
    wrong = replace(stage, chosen={**stage.chosen, cell: crossed})
    figures = {f.caption.partition(":")[0]: f.svg for f in stacks(wrong).figures}
    svg = next(svg for title, svg in figures.items() if "quad-16g" in title and "time" in title)
    assert 'class="v0"' not in svg and 'class="v1"' in svg


def test_host_memory_is_aligned_with_the_phases(stage):
    (figure,) = host_memory(stage, Results(QUICK)).figures
    assert "quad-64g" in figure.caption and "not seconds of hardware" in figure.caption
    root = ElementTree.fromstring(figure.svg)
    owners = [group.get("class") for group in root.iter("g")]
    assert [owner for owner in owners if owner] == ["v0", "v1", "v2"]
    # memmap_init of eager ends where the line is steep: it is what makes resident pages.
    eager = next(group for group in root.iter("g") if group.get("class") == "v0")
    path = next(p.get("d") for p in eager.iter("path") if p.get("class") == "line")
    points = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", path)]
    box = next(r for r in eager.iter("rect") if r.get("class") == "p0")
    begin = float(box.get("x"))
    end = begin + float(box.get("width"))
    inside = [y for x, y in points if begin <= x <= end]
    rise = max(inside) - min(inside)
    assert rise > 0.4 * (max(y for _, y in points) - min(y for _, y in points))


def test_without_evidence_there_is_no_figure_of_it(stage, tmp_path):
    assert not host_memory(stage, Results(tmp_path)).figures
    assert not sections.reproduction(stage, Results(tmp_path)).excerpts


def typed(command: str) -> list[str]:
    """The words that a shell makes of a command."""
    argv = ["sh", "-c", f"printf '%s\\n' {command}"]
    env = {"PATH": os.environ["PATH"], "PAGEINIT_CACHE": "/CACHE"}
    return subprocess.run(argv, env=env, capture_output=True, text=True).stdout.splitlines()


def test_the_line_of_a_cell_is_that_of_its_boot(stage):
    section = sections.reproduction(stage, Results(QUICK))
    assert len(section.excerpts) == len(stage.chosen) == 12
    title, block = section.excerpts[0]
    assert title.startswith("eager")
    build, _, command = block.partition("\n")
    assert build == "harness build eager"
    cell = next(cell for cell in stage.chosen if cell[1] in title and cell[0] in title)
    recorded = (QUICK / stage.chosen[cell].evidence / "qemu.sh").read_text()
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


def test_verdicts_carry_the_marks_of_their_variants(stage):
    found = compared(stage.dataset)
    section = verdicts(stage, found)
    shown = section.tables[0]
    at = shown.head.index("variant")
    assert {row[at] for row in shown.rows} == {w.name for v, w in stage.who.items() if v != "eager"}
    assert shown.head.index("verdict") < shown.left
    assert len(section.figures) == 2
    folded = [table for table in section.tables if table.folded]
    assert folded and all(table.caption.startswith("All: ") for table in folded)


def test_the_intervals_have_the_order_of_the_legend():
    scale = Stage.of(analysis.load(REFERENCE / "scale"))
    section = verdicts(scale, compared(scale.dataset))
    owners = [int(n) for n in re.findall(r'<g class="v(\d+)">', section.figures[0].svg)]
    each = len(set(owners))
    assert len(owners) > 5 * each and owners == sorted(set(owners)) * (len(owners) // each)


def test_where_nothing_is_compared_there_is_no_verdict(stage):
    dataset = stage.dataset
    alone = replace(dataset, runs=dataset.runs[dataset.runs["variant"] != "eager"])
    assert compared(alone) is None and compared(replace(dataset, lock=None)) is None
    assert verdicts(stage, None).empty


def test_lines_say_what_is_extrapolated(stage):
    scale = Stage.of(analysis.load(REFERENCE / "scale"))
    found = compared(scale.dataset)
    short, every = growth_tables(scale, found)
    assert every.folded and len(every.rows) > len(short.rows)
    assert short.head[-1] == "at 59TiB"
    assert {row[-1].endswith("extrapolated") for row in short.rows} == {True, False}
    # Two sizes make no line.
    assert not list(growth_tables(stage, compared(stage.dataset)))
    drawn = {f.caption.partition(":")[0]: f.svg for f in growths(scale, found)}
    work = drawn["memmap_init against guest memory, work clock"]
    # Only those that initialise all of it at once are straight.
    assert work.count('class="beyond"') == work.count("EXTRAPOLATED") == 3


@pytest.mark.parametrize("name", ["quick", "scale", "gate"])
def test_a_report_is_small_and_always_the_same(name):
    folder = REFERENCE / name
    found = analysis.load(folder)
    page, text = render.render(Results(folder), found)
    assert len(page.encode()) < 2_000_000 and len(text.encode()) < 600_000
    assert (page, text) == render.render(Results(folder), found)
    for variant in Stage.of(found).who.values():
        assert f'class="{variant.owner}"' in page
