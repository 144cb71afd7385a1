# SPDX-License-Identifier: GPL-2.0-only
"""A row for each observation."""

import pytest

from tests.support.records import tabulated


@pytest.fixture
def found():
    return tabulated()


def test_clocks_stand_in_their_own_columns(found):
    phases = found.phases
    time, work = phases[phases.clock == "time"], phases[phases.clock == "work"]
    assert time.instructions.isna().all() and work.duration_s.isna().all()
    touch = found.probes[found.probes.probe == "touch_total"]
    assert touch[touch.clock == "time"].ns_per_page.dropna().unique().tolist() == [20.0]
    assert touch[touch.clock == "work"].instructions.dropna().unique().tolist() == [5000]
