# SPDX-License-Identifier: GPL-2.0-only
"""One experiment under KVM: on this host where KVM boots a kernel, else in a guest that has it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.boot import accel
from harness.guest import initramfs
from harness.kernel.store import Kernels
from harness.project import Project, cache_folder
from tests.support.checkout import ROOT

HERE = Path(__file__).parent
GUEST = (sys.executable, "tools/kvm-guest", "--limit", "900")
LOST, TRIES = 3, 2
"""What tools/kvm-guest says where the emulator lost the guest; it loses one of the probe, too."""
HANGS = "boot: [rdinit=/nonexistent, rootdelay=3600]\n"
PANICS = "boot: [rdinit=/nonexistent]\n"
VARIANTS = {"eager": "boot: [early_page_ext]\n", "deferred": "", "hang": HANGS, "panic": PANICS}
MACHINES = {"small": "", "as-host": "cpu: host\n"}
EXPERIMENTS = {"pair": ("eager, deferred", 2), "bad": ("hang, panic", 1)}


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kvm)


@pytest.fixture(scope="session")
def returned(tmp_path_factory):
    """What the driver left: `said` of it, and the `folder` with results and outputs."""
    project = Project(ROOT, cache_folder(os.environ))
    image = Kernels(project).get(project.variant("deferred")).image
    has_kvm = accel.probe(image, initramfs.build(project.cache).path, project.cache).kvm
    for _ in range(TRIES):
        folder = tmp_path_factory.mktemp("kvm")
        lay(folder / "checkout", image)
        status = drive(folder, [] if has_kvm else [*GUEST, "--console", str(folder / "guest.log")])
        said = json.loads((folder / "said.json").read_text()) if status == 0 else {}
        if status != LOST and (has_kvm or not said or said["probe"]["kvm"]):
            break
    assert status == 0, (folder / "driver.log").read_text(errors="replace")
    assert said["probe"]["kvm"], said
    return SimpleNamespace(folder=folder, said=said)


def drive(folder, guest):
    """Runs the driver, here or in a guest; answers the exit status."""
    words = [*guest, "--share", str(folder), "--"] if guest else []
    words += [sys.executable, "-m", "tests.kvm.driver", str(folder)]
    with (folder / "driver.log").open("wb") as out:
        return subprocess.run(
            words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        ).returncode


def lay(root, image):
    """A checkout whose variants are one kernel, that of `deferred`, with other words."""
    for folder in ("kernel-patches/variants", "qemu-configs", "experiments", "kernel"):
        (root / folder).mkdir(parents=True)
    (root / "kernel/bzImage").write_bytes(image.read_bytes())
    (root / "kernel/config").write_bytes(image.with_name("config").read_bytes())
    for name, words in VARIANTS.items():
        text = f"description: {name}\nprebuilt: {{path: kernel/bzImage}}\n{words}"
        (root / f"kernel-patches/variants/{name}.yaml").write_text(text)
    for name, more in MACHINES.items():
        text = f"description: {name}\naccel: kvm\nnodes: [{{cpus: 0-1, memory: 512MiB}}]\n{more}"
        (root / f"qemu-configs/{name}.yaml").write_text(text)
    for name, (variants, blocks) in EXPERIMENTS.items():
        text = (
            f"description: {name}\nbaseline: {variants.partition(',')[0]}\n"
            f"matrix: [{{variants: [{variants}], machines: [small], "
            f"clocks: {{time: {{blocks: {blocks}}}}}}}]\n"
            "probes: {run: []}\nlimits: {silence_s: 3, progress_s: 6, grace_s: 1}\n"
        )
        (root / f"experiments/{name}.yaml").write_text(text)
