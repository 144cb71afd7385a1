# SPDX-License-Identifier: GPL-2.0-only
"""What an experiment was resolved to."""

import pytest

from harness.model import Toolchain
from harness.model.lockfile import Lockfile
from tests.support.checkout import ROOT
from tests.support.records import lock


def test_a_dataset_keeps_the_hash_that_it_was_recorded_with():
    text = lock().to_yaml()
    assert Lockfile.from_yaml(text, "x").hash == lock().hash
    older = text.replace(lock().hash, "0123456789ab")
    assert Lockfile.from_yaml(older, "x").hash == "0123456789ab"


@pytest.mark.parametrize("name", ["aa", "distro", "fast-path", "gate-hotplug", "limit", "scale"])
def test_a_key_that_came_later_leaves_the_hash_of_what_has_none(name):
    """Runs from before a key existed are gone on with."""
    path = ROOT / "results/reference" / name / "experiment.lock.yaml"
    known = Lockfile.from_yaml(path.read_bytes(), str(path))
    anew = known.model_copy(update={"on_file": None})
    assert anew.hash == known.hash
    variant, value = next(iter(known.variants.items()))
    for more in ({"toolchain": Toolchain(llvm=True)}, {"options": {"CONFIG_NUMA": "n"}}):
        variants = known.variants | {variant: value.model_copy(update=more)}
        assert anew.model_copy(update={"variants": variants}).hash != known.hash
