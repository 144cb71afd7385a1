# SPDX-License-Identifier: GPL-2.0-only
"""Blocks of boots."""

from harness.model.experiment import Experiment
from harness.model.schedule import Slot, base_of, blocks, definition, first_arm, peer


def test_a_block_is_all_of_one_machine_clock_and_number(checkout):
    experiment = Experiment.load(checkout / "experiments/pair.yaml")
    found = blocks(experiment.schedule())
    assert [b.key for b in found] == ["small/time/warmup", "small/time/000", "small/time/001"]
    assert all({s.variant for s in b.slots} == {"one", "two"} for b in found)


def test_groups_that_share_a_machine_share_its_blocks():
    slots = [Slot(v, m, "work", n, 0) for v, m, n in (("a", "m", 0), ("a", "n", 0), ("b", "m", 0))]
    assert [[s.variant for s in b.slots] for b in blocks(slots)] == [["a", "b"], ["a"]]


def test_a_name_tells_variant_base_and_arm():
    names = ("eager", "eager@2", "eager@7.3", "eager@7.3@2")
    assert {definition(name) for name in names} == {"eager"}
    assert [base_of(name) for name in names] == [None, None, "7.3", "7.3"]
    assert [first_arm(name) for name in names] == ["eager", "eager", "eager@7.3", "eager@7.3"]
    assert [peer("lazy", name) for name in names] == ["lazy", "lazy", "lazy@7.3", "lazy@7.3"]
    assert peer("lazy@6.12", "eager@7.3") == "lazy@6.12"
