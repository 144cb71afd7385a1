# SPDX-License-Identifier: GPL-2.0-only
"""The architectures whose kernels are built and booted."""

import dataclasses
import re

import pytest

from harness.model import arch
from harness.process import PACKAGES
from tests.support.checkout import ROOT


def test_each_architecture_has_a_name_of_its_own_for_all_that_lies_side_by_side():
    for key in ("name", "machine", "image", "qemu", "triplet"):
        values = [dataclasses.asdict(each)[key] for each in arch.ARCHS.values()]
        assert len(set(values)) == len(values), key


@pytest.mark.parametrize("each", arch.ARCHS.values(), ids=lambda each: each.name)
def test_what_it_needs_has_a_package_and_is_only_needed_elsewhere(monkeypatch, each):
    assert each.qemu in PACKAGES
    monkeypatch.setattr(arch.platform, "machine", lambda: each.machine)
    assert (each.native, each.prefix) == (True, "")
    monkeypatch.setattr(arch.platform, "machine", lambda: "riscv64")
    assert (each.native, each.prefix) == (False, each.triplet)


def test_the_guest_reports_where_the_console_is_not():
    """init.c names the console that the kernel's command line does."""
    source = (ROOT / "harness/guest/src/init.c").read_text()
    consoles = re.findall(r'#define CONSOLE "/dev/(\w+)"', source)
    results = re.findall(r'#define RESULTS "/dev/(\w+)"', source)
    told = [each.console[0].removeprefix("console=") for each in arch.ARCHS.values()]
    assert consoles == told
    assert all(a != b for a, b in zip(consoles, results, strict=True))
