# SPDX-License-Identifier: GPL-2.0-only
"""Kernels of another architecture: the same series, cross-compiled, booted and read alike."""

import shutil
from pathlib import Path

import pytest

from harness.cli import main
from harness.model import Experiment, Probes
from harness.results.folder import Results
from harness.run import Foreign, RunOptions, profile_boot, run_experiment
from tests.support.real import ROOT

BASE = "7.3-arm64"
TOOLS = ("qemu-system-aarch64", "aarch64-linux-gnu-gcc")
EXPERIMENT = f"""
description: pages initialised at once, late, and when they are used, on arm64
baseline: eager
bases: [{BASE}]
matrix:
  - variants: [eager, deferred, on-demand]
    machines: [virt-4g]
    clocks: {{work: {{blocks: 2}}}}
probes: {{run: [meminfo, zoneinfo, touch], touch_bytes: 32MiB, touch_threads: 1}}
"""


@pytest.fixture(scope="module")
def runs(project, source_of, tmp_path_factory):
    """Runs by variant and block."""
    if lacking := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"not installed: {', '.join(lacking)}")
    source_of(BASE)
    folder = tmp_path_factory.mktemp("arm64")
    (folder / "arm64.yaml").write_text(EXPERIMENT)
    words = ["--root", str(ROOT), "--cache", str(project.cache), "run"]
    assert main([*words, str(folder / "arm64.yaml"), "--results", str(folder)]) == 0
    (found,) = Path(folder / "arm64").iterdir()
    return {(s.run.variant, s.run.block): s for s in Results(found).read()[0]}


def phases(run, name):
    """The phase as a whole, then that of each node."""
    found = [phase for phase in run.phases if phase.name == name and phase.source == "mark"]
    return sorted(found, key=lambda phase: -1 if phase.node is None else phase.node)


def test_every_boot_is_good_and_is_the_same_twice(runs):
    assert len(runs) == 6
    for (variant, block), stored in runs.items():
        assert stored.run.judgement.outcome == "ok", stored.run.judgement
        assert stored.run.kernel.build_warnings == 0
        twin = runs[variant, 1 - block].folder / "console.log"
        assert (stored.folder / "console.log").read_bytes() == twin.read_bytes()


def test_the_machine_is_the_one_that_was_asked_for(runs):
    run = runs[f"eager@{BASE}", 0].run
    assert [phase.node for phase in phases(run, "memmap_init")] == [None, 0, 1, 2, 3]
    hello = next(line for line in run.probes if line["probe"] == "hello")
    assert hello["cpus"] == 4


def test_what_is_left_for_later_is_not_done_at_once(runs):
    """1,048,576 pages: some ten instructions each, or next to none."""

    def pages(variant: str) -> float:
        return phases(runs[f"{variant}@{BASE}", 0].run, "memmap_init")[0].busy / (1 << 20)

    assert 5 < pages("eager") < 50
    assert pages("on-demand") < 1 < pages("deferred") + 1


def test_memory_is_touched_and_idle_is_told_from_work(runs):
    run = runs[f"eager@{BASE}", 0].run
    (first,) = (
        line for line in run.probes if line["probe"] == "touch" and line["kind"] == "first-touch"
    )
    (boot,) = phases(run, "boot")
    assert first["pages"] == (32 << 20) // 4096
    assert boot.idle == 0 and boot.busy > 10e6


def test_functions_tell_what_marks_tell(project, runs, tmp_path):
    """To a tick of the counter, and what lies between a mark and the function that it marks."""
    asked = Experiment(
        name="both",
        description="marks and functions",
        baseline="eager",
        matrix=[{"variants": ["eager"], "machines": ["virt-4g"], "clocks": {"work": {}}}],
        bases=(BASE,),
        instrument="both",
        probes=Probes(run=()),
    )
    ran = run_experiment(project, asked, RunOptions(tmp_path))
    ((stored, *more), damage) = ran.results.read()
    assert not more and not damage and not ran.wrong
    told = {(phase.source, phase.name): phase for phase in stored.run.phases if phase.node is None}
    for name in ("boot", "setup_arch", "memmap_init", "memblock_free_all", "smp_init", "initcalls"):
        mark, functions = (told[source, name] for source in ("mark", "profile"))
        took = mark.end - mark.start
        assert functions.end - functions.start == pytest.approx(took, rel=1e-6, abs=300), name


def test_a_kernel_of_debian_has_its_profile(project, runs, tmp_path):
    """One that nobody here built: its package, its symbols, and where its memmap is made."""
    package = Foreign.of("linux-image-cloud-arm64")
    boot = profile_boot(project, package, "virt-4g", Results(tmp_path))
    assert boot.run.judgement.outcome == "ok" and boot.profile.whole
    made = boot.profile.below(["memmap_init_range", "deferred_init_memmap", "deferred_grow_zone"])
    assert 10 < made.total / (1 << 20) < 100
