# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that nobody here built, profiled: every instruction, the same in each boot."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.kernel import kallsyms
from harness.model import Prebuilt
from harness.project import Project
from harness.results import PROFILE, Results
from harness.run import Foreign, ProfiledBoot, profile_boot
from tests.boot.conftest import PACKAGE

PAGES = (1 << 30) // 4096


@pytest.fixture(scope="module")
def boots(kernel, cache, tmp_path_factory) -> list[ProfiledBoot]:
    """The same boot twice, the second beside a busy core; and one that finds no user space."""
    pytest.importorskip("vmlinux_to_elf")
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("kernel-patches/variants", "qemu-configs", "experiments"):
        (root / folder).mkdir(parents=True)
    machine = "description: one\naccel: tcg\nnodes: [{cpus: 0-1, memory: 1GiB}]\n"
    (root / "qemu-configs/small.yaml").write_text(machine)
    (root / "qemu-configs/dying.yaml").write_text(
        f"{machine}boot: [rdinit=/none, root=/dev/none]\n"
    )
    place, what = Project(root, cache), Foreign(Prebuilt(package=PACKAGE))
    first = profile_boot(place, what, "small", Results(root / "first"))
    died = profile_boot(place, what, "dying", Results(root / "died"))
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return [first, profile_boot(place, what, "small", Results(root / "second")), died]
    finally:
        busy.kill()
        busy.wait()


def test_two_boots_give_the_same_bytes(boots: list[ProfiledBoot]) -> None:
    first, second, _ = (boot.folder for boot in boots)
    assert (first / PROFILE).read_bytes() == (second / PROFILE).read_bytes()
    assert boots[0].profile.whole and not boots[0].profile.lost


def test_functions_of_a_kernel_without_system_map_have_names(
    boots: list[ProfiledBoot], kernel, cache: Path
) -> None:
    costs = boots[0].profile.costs
    assert costs["start_kernel"].calls == costs["memblock_free_all"].calls == 1
    # Some tens of instructions for each struct page.
    assert PAGES * 10 < costs["memmap_init_range"].own < PAGES * 100
    assert "[unknown]" not in costs
    assert kallsyms.usable(kallsyms.system_map(kernel.image, cache))


def test_the_tree_is_that_of_the_kernel(boots: list[ProfiledBoot]) -> None:
    lines = list(boots[0].profile.collapsed())
    chain = "start_kernel;setup_arch;"
    assert any(
        chain in line and line.rpartition(" ")[0].endswith("memmap_init_range") for line in lines
    )
    deepest = max(node.depth for node in boots[0].profile.nodes)
    assert 20 < deepest < 200


def test_a_boot_that_died_has_its_profile_up_to_its_end(boots: list[ProfiledBoot]) -> None:
    whole, _, died = boots
    assert died.run.judgement.outcome == "panic" and not died.profile.whole
    assert "did not reach user space (panic" in died.caveats[0]
    same = ("memmap_init_range", "memblock_free_all")
    assert all(died.profile.costs[name] == whole.profile.costs[name] for name in same)
