# SPDX-License-Identifier: GPL-2.0-only
"""A small checkout whose one variant is Debian's own kernel, unpacked and not installed."""

import os
from pathlib import Path

import pytest

from harness.kernel.debian import PrebuiltKernel, fetch_prebuilt
from harness.project import Project, cache_folder
from tests.support.real import boot_guest, start, stop

HERE = Path(__file__).parent
PACKAGE = "linux-image-cloud-amd64"
MACHINES = {
    "small": "nodes: [{cpus: 0, memory: 1GiB}]",
    "frozen": "nodes: [{cpus: 0, memory: 1GiB}]\nextra_args: [-S]",
    "refused": "nodes: [{cpus: 0, memory: 1GiB}]\nextra_args: [-cpu, no-such-cpu]",
    "quad": "nodes: [" + ", ".join(f"{{cpus: {n}, memory: 16GiB}}" for n in range(4)) + "]",
}
EXPERIMENT = """
description: the same boot a few times
baseline: debian
matrix:
  - {variants: [debian], machines: [small], clocks: {CLOCK: {blocks: BLOCKS}}}
probes: {run: [meminfo, touch], touch_bytes: 16MiB, touch_threads: 2}
limits: {silence_s: 3, progress_s: 6, grace_s: 1}
"""


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.qemu)


@pytest.fixture(scope="session")
def cache() -> Path:
    """The cache that outlives the tests: ~/.cache/pageinit or $PAGEINIT_CACHE."""
    return cache_folder(os.environ)


@pytest.fixture(scope="session")
def kernel(cache) -> PrebuiltKernel:
    return fetch_prebuilt(PACKAGE, cache)


@pytest.fixture
def place(tmp_path, cache, kernel, monkeypatch) -> Path:
    """The checkout, with experiments of one to three boots of the variant `debian`."""
    root = tmp_path / "checkout"
    for folder in ("kernel-patches/variants", "qemu-configs", "experiments"):
        (root / folder).mkdir(parents=True)
    variant = f"description: Debian's kernel\nprebuilt: {{package: {PACKAGE}}}\n"
    (root / "kernel-patches/variants/debian.yaml").write_text(variant)
    for name, text in MACHINES.items():
        machine = f"description: {name}\naccel: tcg\ndeadline_s: 30\n{text}\n"
        (root / f"qemu-configs/{name}.yaml").write_text(machine)
    for name, clock, blocks in (("one", "time", 1), ("three", "time", 3), ("work", "work", 1)):
        text = EXPERIMENT.replace("CLOCK", clock).replace("BLOCKS", str(blocks))
        (root / f"experiments/{name}.yaml").write_text(text)
    monkeypatch.setenv("PAGEINIT_CACHE", str(cache))
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def harness(place):
    """Starts ``harness`` as a process of its own; kills what is left of it at the end."""
    started = []

    def run(*words: str):
        started.append(start(*words))
        return started[-1]

    yield run
    for process in started:
        stop(process)


@pytest.fixture
def hatch(place, cache, tmp_path):
    """Boots a program of ours as init; answers the run and the folder of the dataset."""

    def run(program: str):
        project = Project(place, cache)
        return boot_guest(project, project.experiment(Path("one")), program, tmp_path)

    return run
