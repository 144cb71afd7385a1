# SPDX-License-Identifier: GPL-2.0-only
"""What an experiment was resolved to."""

from harness.model.lockfile import Lockfile
from tests.support.records import lock


def test_a_dataset_keeps_the_hash_that_it_was_recorded_with():
    text = lock().to_yaml()
    assert Lockfile.from_yaml(text, "x").hash == lock().hash
    older = text.replace(lock().hash, "0123456789ab")
    assert Lockfile.from_yaml(older, "x").hash == "0123456789ab"
