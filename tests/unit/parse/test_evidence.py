# SPDX-License-Identifier: GPL-2.0-only
"""Results of the guest, hostile ones among them."""

import pytest

from harness.parse import evidence
from harness.results.folder import to_json
from tests.support.records import a_run


@pytest.mark.parametrize("depth", [101, 300, 100_000])
@pytest.mark.parametrize("ends", [b"]", b""])
def test_a_nested_result_is_unreadable_and_no_end_of_the_run(depth, ends):
    line = b'{"probe":"x","v":' + b"[" * depth + ends * depth + b"}"
    found = evidence.read_probes(line + b'\n{"probe":"done"}\n')
    assert [probe["probe"] for probe in found] == ["unreadable", "done"]
    to_json(a_run(probes=found))
