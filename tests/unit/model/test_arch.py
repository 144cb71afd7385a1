# SPDX-License-Identifier: GPL-2.0-only
"""The architectures whose kernels are built and booted."""

import dataclasses

from harness.model import arch


def test_each_architecture_has_a_name_of_its_own_for_all_that_lies_side_by_side():
    for key in ("name", "machine", "image", "qemu", "triplet"):
        values = [dataclasses.asdict(each)[key] for each in arch.ARCHS.values()]
        assert len(set(values)) == len(values), key
