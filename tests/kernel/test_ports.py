# SPDX-License-Identifier: GPL-2.0-only
"""The series that initialise a page when it is used, on each base that they were ported to."""

import os
import re
from pathlib import Path

import pytest

from harness.cli import main
from harness.kernel import SystemMap
from harness.project import cache_folder
from harness.results.folder import Results
from harness.units import MIB
from tests.support.real import ROOT, memory_totals

BASES = ("6.12", "7.3")
MACHINE = "uneven-24g"
EXPERIMENT = f"""
description: pages that are initialised when they are used, beside all at once
baseline: eager
bases: [{", ".join(BASES)}]
matrix:
  - variants: [eager, on-demand, zero-check, lazy]
    machines: [{MACHINE}]
    clocks: {{time: {{blocks: 1}}}}
  - variants: [nt-template, async]
    bases: [7.3]
    machines: [{MACHINE}]
    clocks: {{time: {{blocks: 1}}}}
    probes: {{run: [settle, meminfo, zoneinfo]}}
probes: {{run: [meminfo, zoneinfo, touch], touch_bytes: 32MiB, touch_threads: 2}}
"""


@pytest.fixture(scope="module")
def runs(project, source_of, tmp_path_factory):
    """Stored runs by variant and base."""
    for base in BASES:
        source_of(base)
    folder = tmp_path_factory.mktemp("ports")
    (folder / "ports.yaml").write_text(EXPERIMENT)
    words = ["--root", str(ROOT), "--cache", str(project.cache), "run"]
    assert main([*words, str(folder / "ports.yaml"), "--results", str(folder)]) == 0
    (found,) = Path(folder / "ports").iterdir()
    return {tuple(s.run.variant.split("@")): s for s in Results(found).read()[0]}


OWN = {("lazy", "7.3"): {(3, "Normal"): 1}}
"""Pages of a zone that a kernel keeps for itself."""

FREED = re.compile(rb"Freeing unused kernel image \([^)]*\) memory: (\d+)K")


def counted(stored):
    """Pages of every zone, as if the image of this very kernel took none of node 0.

    It takes what lies between two symbols, and gives back what the log says.
    """
    zones, memory = memory_totals(stored.run)
    console = (stored.folder / "console.log").read_bytes()
    freed = sum(int(kib) for kib in FREED.findall(console)) // 4
    store = cache_folder(os.environ) / "kernels" / stored.run.kernel.kernel_id
    known = SystemMap.read((store / "System.map").read_text()).addresses
    image = (known["_end"] - known["_text"]) // 4096
    assert zones and freed and image
    freed -= image
    spanned, present, managed = zones[0, "DMA32"]
    less = {node: memory[node] - freed * 4096 for node in (None, 0)}
    return zones | {(0, "DMA32"): (spanned, present, managed - freed)}, memory | less


def peak(run) -> int:
    return max(sample.rss_bytes for sample in run.samples)


@pytest.mark.parametrize(
    ("variant", "base"),
    [
        *((variant, base) for variant in ("on-demand", "zero-check", "lazy") for base in BASES),
        *(("nt-template", "7.3"), ("async", "7.3")),
    ],
)
def test_no_page_is_lost_or_gained(runs, variant, base):
    run = runs[variant, base].run
    assert run.judgement.outcome == "ok", run.judgement
    assert run.kernel.build_warnings == 0
    zones, memory = counted(runs[variant, base])
    # The bits of the largest node fill what is left of no other page.
    for place, pages in OWN.get((variant, base), {}).items():
        spanned, present, managed = zones[place]
        zones[place] = (spanned, present, managed + pages)
        memory |= {node: memory[node] + pages * 4096 for node in (None, place[0])}
    assert (zones, memory) == counted(runs["eager", base])


@pytest.mark.parametrize("base", BASES)
def test_only_what_is_written_takes_memory_of_the_host(runs, base):
    """The memmap of 24 GiB has 384 MiB: one zeroes all of it, the other leaves it alone."""
    eager = peak(runs["eager", base].run)
    assert peak(runs["on-demand", base].run) < eager - 200 * MIB
    assert peak(runs["lazy", base].run) < eager - 200 * MIB
    assert abs(peak(runs["zero-check", base].run) - eager) < 100 * MIB
