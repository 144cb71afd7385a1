# SPDX-License-Identifier: GPL-2.0-only
"""eager, deferred and grow, built from source and booted: all there, and all the same memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.model.experiment import Experiment
from harness.parse import phases
from harness.results.folder import Results
from harness.units import MIB
from tests.support.real import ROOT, boot_guest, memory_totals

VARIANTS = ("eager", "deferred", "grow")
MACHINES = ("cpuless-8g", "uneven-24g")
WORK = """
description: every variant where memory is not spread evenly, two of them twice by the work clock
baseline: eager
probes: {run: [meminfo, zoneinfo, touch], touch_bytes: 32MiB, touch_threads: 2}
matrix:
  - {variants: [eager, grow], machines: [tiny-2g], clocks: {work: {blocks: 2}}}
"""
EXPERIMENT = f"""{WORK}
  - variants: [{", ".join(VARIANTS)}]
    machines: [{", ".join(MACHINES)}]
    clocks: {{time: {{blocks: 1}}}}
"""


@pytest.fixture(scope="session")
def dataset(project, tmp_path_factory) -> Path:
    """The results folder of one experiment that boots everything."""
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "variants.yaml").write_text(EXPERIMENT)
    words = ["--root", str(ROOT), "--cache", str(project.cache), "run"]
    assert main([*words, str(folder / "variants.yaml"), "--results", str(folder)]) == 0
    (found,) = (folder / "variants").iterdir()
    return found


@pytest.fixture(scope="session")
def runs(dataset):
    """Runs of the time clock by variant and machine."""
    found = (stored.run for stored in Results(dataset).read()[0])
    return {(run.variant, run.machine): run for run in found if run.clock == "time"}


def pages(run, name: str) -> dict[int, int]:
    """The pages of a mark by node."""
    return {p.node: p.pages for p in run.phases if p.name == name and p.node is not None}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_mark_comes(runs, project, variant, machine):
    run = runs[variant, machine]
    nodes = range(len(project.machine(machine).nodes))
    assert run.judgement.outcome == "ok", run.judgement
    marks = {phase.name for phase in run.phases if phase.source == "mark"}
    assert set(phases.required("")) <= marks
    assert sorted(pages(run, "memmap_init")) == sorted(pages(run, "vmemmap_populate"))
    assert sorted(pages(run, "memmap_init")) == list(nodes)
    assert run.kernel.build_warnings == 0
    boot = next(p for p in run.phases if p.name == "boot" and p.source == "mark")
    inside = [p for p in run.phases if p.source == "mark" and p.name != "initcalls"]
    assert all(boot.start <= p.start <= p.end <= boot.end for p in inside)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_no_page_is_lost_or_gained(runs, project, variant, machine):
    zones, memory = memory_totals(runs[variant, machine])
    assert (zones, memory) == memory_totals(runs["eager", machine])
    nodes = project.machine(machine).nodes
    assert {node for node, _ in zones} == set(range(len(nodes)))
    for number, node in enumerate(nodes):
        assert node.memory * 0.9 < memory[number] < node.memory


@pytest.mark.parametrize("machine", MACHINES)
def test_who_initialises_what(runs, machine):
    """`eager` all at once; `deferred` a section a node, the rest in threads; `grow` no rest."""
    eager, deferred, grow = (runs[variant, machine] for variant in VARIANTS)
    total = sum(pages(eager, "memmap_init").values())
    assert total > sum(pages(eager, "vmemmap_populate").values()) * 0.99
    early = pages(deferred, "memmap_init")
    assert sum(early.values()) < total / 2
    late = sum(pages(deferred, "deferred_init").values())
    assert total * 0.95 < sum(early.values()) + late <= total
    assert pages(grow, "memmap_init") == early
    assert sum(pages(grow, "deferred_init").values()) == 0
    assert not pages(eager, "deferred_init")


def test_what_is_not_initialised_takes_no_memory_of_the_host(runs):
    peak = {
        variant: max(sample.rss_bytes for sample in runs[variant, "uneven-24g"].samples)
        for variant in VARIANTS
    }
    # The memmap of 24 GiB has 384 MiB.
    assert peak["grow"] < peak["eager"] - 200 * MIB
    assert abs(peak["deferred"] - peak["eager"]) < 100 * MIB


@pytest.mark.parametrize("variant", ["eager", "grow"])
def test_the_work_clock_repeats_itself_to_the_byte(dataset, variant):
    first, second = sorted((dataset / f"runs/{variant}/tiny-2g/work").iterdir())
    data = (first / "probes.jsonl").read_bytes()
    assert data and data == (second / "probes.jsonl").read_bytes()
    # What comes after the probes is cut off when the host ends the guest.
    lines = [(folder / "console.log").read_bytes().split(b"\n") for folder in (first, second)]
    whole = min(map(len, lines)) - 1
    assert whole > 100 and lines[0][:whole] == lines[1][:whole]


def test_a_hung_guest_is_told_by_name(project, tmp_path):
    """With System.map the place where a vCPU sits has a name: here it idles for ever."""
    group = {"variants": ["eager"], "machines": ["tiny-2g"], "clocks": {"time": {"blocks": 1}}}
    experiment = Experiment(
        name="hang",
        description="an init that waits for ever",
        baseline="eager",
        matrix=[group],
        limits={"silence_s": 2, "progress_s": 4},
    )
    run, _ = boot_guest(project, experiment, "\tfor (;;)\n\t\tpause();", tmp_path)
    assert (run.judgement.outcome, run.ending.cause) == ("stalled", "no-progress")
    cpus = run.ending.where.split(", ")
    assert [cpu.split(":")[0] for cpu in cpus] == ["cpu0", "cpu1"]
    assert all("idle+0x" in cpu or "halt+0x" in cpu for cpu in cpus), run.ending.where
    assert run.ending.registers.count("RIP=") == 2


def test_the_work_clock_counts_the_same_on_a_busy_host(dataset, project, tmp_path):
    quiet = {(r.run.variant, r.run.block): r.folder for r in work_runs(Results(dataset))}
    (tmp_path / "busy.yaml").write_text(WORK)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        words = ["--root", str(ROOT), "--cache", str(project.cache), "run"]
        assert main([*words, str(tmp_path / "busy.yaml"), "--results", str(tmp_path)]) == 0
    finally:
        for process in busy:
            process.kill()
    (found,) = (tmp_path / "busy").iterdir()
    runs = work_runs(Results(found))
    assert len(runs) == 4
    for stored in runs:
        other = quiet[stored.run.variant, stored.run.block]
        name = "probes.jsonl"
        assert (stored.folder / name).read_bytes() == (other / name).read_bytes()


def work_runs(results):
    return [stored for stored in results.read()[0] if stored.run.clock == "work"]
