# SPDX-License-Identifier: GPL-2.0-only
"""What a boot will take of the host."""

import pytest

from harness.model.machine import Machine
from harness.model.variant import MemoryModel
from harness.qemu import footprint
from harness.units import GIB
from tests.support.checkout import ROOT


def test_prediction_is_near_what_was_measured():
    # Peak RSS of grow on quad-16t and quad-1t, of eager on quad-64g (results/reference).
    machine = Machine.load(ROOT / "qemu-configs" / "quad-16t.yaml")
    grow = MemoryModel(memmap_share=0.018, fixed=192 << 20)
    assert footprint.footprint(machine, grow, GIB // 5).total == pytest.approx(7.9 * GIB, rel=0.15)
    machine = Machine.load(ROOT / "qemu-configs" / "quad-64g.yaml")
    eager = MemoryModel(memmap_share=1, fixed=64 << 20)
    assert footprint.footprint(machine, eager, 0).total == pytest.approx(1.34 * GIB, rel=0.15)


def test_preallocated_memory_is_all_there():
    data = {"name": "x", "description": "x", "nodes": [{"cpus": 0, "memory": "8GiB"}]}
    machine = Machine.parse({**data, "memory_backend": {"prealloc": True}}, "x.yaml")
    assert footprint.footprint(machine, MemoryModel(memmap_share=0), 0).guest == 8 * GIB
