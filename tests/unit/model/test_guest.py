# SPDX-License-Identifier: GPL-2.0-only
"""What may be said of a distribution as the guest."""

import pytest

from harness.model.guest import Distribution
from tests.support.records import GROUP, an_experiment


def test_the_work_clock_is_refused_with_the_reason():
    work = GROUP | {"clocks": {"work": {"blocks": 1}}}
    an_experiment(matrix=[work])
    with pytest.raises(ValueError, match="guest: its probes run over SSH"):
        an_experiment(matrix=[work], guest={"image": "x"})


@pytest.mark.parametrize("root", ["vda", "/dev/../etc", "/dev/vda x", "/dev/vda\n", "auto "])
def test_a_root_that_is_no_device_is_refused(root):
    with pytest.raises(ValueError, match="root"):
        Distribution(image="x", root=root)
