# SPDX-License-Identifier: GPL-2.0-only
"""The order of boots, and bad experiments."""

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.model.experiment import Experiment

EXPERIMENT = (
    "description: d\nbaseline: eager\nmatrix:\n  - variants: [eager, grow]\n"
    "    machines: [a, b]\n    clocks: {time: {blocks: 3, warmup: 1}, work: {}}\n"
)


def experiment(tmp_path: Path, text: str = EXPERIMENT) -> Experiment:
    (tmp_path / "e.yaml").write_text(text)
    return Experiment.load(tmp_path / "e.yaml")


def test_blocks_are_complete_and_drawn_from_the_seed(tmp_path: Path) -> None:
    first = experiment(tmp_path)
    slots = first.schedule()
    assert len(slots) == len({s.key for s in slots}) == 2 * 2 * (4 + 1)
    for machine_name in ("a", "b"):
        for block in (-1, 0, 1, 2):
            chosen = [
                s.variant
                for s in slots
                if (s.machine, s.clock, s.block) == (machine_name, "time", block)
            ]
            assert sorted(chosen) == ["eager", "grow"]
    assert experiment(tmp_path).schedule() == slots
    orders = {
        tuple(s.variant for s in experiment(tmp_path, EXPERIMENT + f"seed: {n}\n").schedule())
        for n in range(20)
    }
    assert len(orders) > 1


def test_misses_and_stores_are_counted_by_a_profile_alone(tmp_path: Path) -> None:
    work = EXPERIMENT.replace("time: {blocks: 3, warmup: 1}, ", "")
    plain = experiment(tmp_path, work)
    found = experiment(
        tmp_path, f"{work}instrument: profile\ncounting: {{event: misses, cache: 1MiB}}\n"
    )
    assert found.counting and (found.counting.event, found.counting.cache) == ("misses", 1 << 20)
    # Experiments that are older have the hash that they had.
    assert "counting" not in plain.model_dump()
    for wrong in (
        "counting: {event: stores}\n",
        "counting: {event: loads}\n",
        "counting: {cache: 1}\n",
    ):
        with pytest.raises(UserError, match="counting"):
            experiment(tmp_path, work + wrong)


AA = """
description: with a second arm
baseline: a
matrix:
  - variants: [a, b]
    machines: [m]
    clocks: {time: {blocks: 40, warmup: 1, aa: true}, work: {blocks: 1}}
"""


def test_a_second_arm_boots_in_every_block_at_random_places(tmp_path: Path) -> None:
    found = experiment(tmp_path, AA)
    assert found.variants == ("a", "b", "a@2")
    assert found.probes_of("a@2", "m", "time") == found.probes
    timed = [s for s in found.schedule() if s.clock == "time"]
    orders = [[s.variant for s in timed if s.block == block] for block in range(-1, 40)]
    assert all(sorted(order) == ["a", "a@2", "b"] for order in orders)
    assert len({tuple(order) for order in orders}) == 6
    plain = experiment(tmp_path, AA.replace(", aa: true", ""))
    work = [s for s in found.schedule() if s.clock == "work"]
    assert work == [s for s in plain.schedule() if s.clock == "work"]
    assert {s.variant for s in work} == {"a", "b"}


def test_a_slot_names_its_folder_and_run(tmp_path: Path) -> None:
    slots = {s.key: s for s in experiment(tmp_path).schedule()}
    warm = slots["eager/a/time/warmup"]
    assert warm.warmup and warm.run_id("lock") != slots["eager/a/time/000"].run_id("lock")
    assert warm.run_id("lock") != warm.run_id("other")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (EXPERIMENT.replace("baseline: eager", "baseline: egaer"), "'egaer' is in no group"),
        (EXPERIMENT.replace("time:", "tiem:"), r"matrix\[0\].clocks"),
        (EXPERIMENT + "probes: {run: [memory]}\n", r"probes.run\[0\]"),
        (
            AA.replace("[a, b]", "[b]")
            + "  - {variants: [a], machines: [m], clocks: {work: {}}}\n",
            r"matrix\[0\]: aa needs the baseline 'a'",
        ),
        (EXPERIMENT + "seeds: 3\n", "seeds: unknown key; did you mean 'seed'"),
    ],
)
def test_a_bad_experiment_is_one_error(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        experiment(tmp_path, text)


def test_stores_are_counted_on_the_work_clock_only():
    group = {"variants": ["a"], "machines": ["m"], "count_stores": True}
    for clocks in ({"time": {}}, {"time": {}, "work": {}}):
        with pytest.raises(ValueError, match="count_stores: "):
            Experiment(name="x", description="", baseline="a", matrix=[{**group, "clocks": clocks}])
    found = Experiment(
        name="x", description="", baseline="a", matrix=[{**group, "clocks": {"work": {}}}]
    )
    assert found.counted and found.counts_stores("a", "m", "work")
    assert not found.counts_stores("b", "m", "work")


def test_functions_are_counted_on_the_work_clock_only():
    group = {"variants": ["a"], "machines": ["m"]}

    def made(clocks, own=None, of_all=None):
        groups = [{**group, "clocks": clocks, "instrument": own}]
        return Experiment(name="x", description="", baseline="a", matrix=groups, instrument=of_all)

    with pytest.raises(ValueError, match="instrument: the guest's CPUs take turns on the work"):
        made({"time": {}, "work": {}}, own="both")
    with pytest.raises(ValueError, match="instrument: functions are counted on the work clock"):
        made({"time": {}}, of_all="profile")
    found = made({"time": {}, "work": {}}, of_all="profile")
    assert found.profiled and found.instrument_of("a", "m", "work") == "profile"
    assert found.instrument_of("a", "m", "time") == "marks"
    assert not made({"work": {}}, own="marks", of_all="both").profiled
    again = made({"work": {}}, own="profile").with_instrument("both")
    assert again.instrument_of("a", "m", "work") == "both"


BASES = """
description: d
baseline: a
bases: [6.10, 7.3]
matrix:
  - variants: [a, b]
    machines: [m]
    clocks: {time: {blocks: 1, aa: true}}
  - variants: [c]
    machines: [n]
    clocks: {work: {}}
    bases: [7.3]
"""


def test_each_variant_is_there_on_each_base(tmp_path: Path) -> None:
    found = experiment(tmp_path, BASES)
    # Names that look like numbers are as they were written: 6.10 is not 6.1.
    assert found.bases == ("6.10", "7.3")
    timed = ("a@6.10", "b@6.10", "a@7.3", "b@7.3")
    arms = ("a@6.10@2", "a@7.3@2")
    assert found.variants == (*timed, "c@7.3", *arms)
    slots = {slot.variant: slot.key for slot in found.schedule()}
    assert set(slots) == set(found.variants)
    assert slots["a@7.3@2"] == "a@7.3@2/m/time/000"
    # All bases boot in one block: they can be compared in pairs.
    assert {s.variant for s in found.schedule() if s.block_key == ("m", "time", 0)} == {
        *timed,
        *arms,
    }
    assert found.probes_of("c@7.3", "n", "work") == found.probes
    assert not found.counts_stores("c@6.10", "n", "work")


@pytest.mark.parametrize(
    ("bases", "said"),
    [
        ("[7.3, 6.12, 7.3]", "'7.3' is named twice"),
        ("[]", "bases: "),
        ("['2']", "bases[0]: "),
        ("[../x]", "bases[0]: "),
        ("7.3", "bases: "),
    ],
)
def test_bases_have_names_of_their_own(tmp_path: Path, bases: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        experiment(tmp_path, BASES.replace("[6.10, 7.3]", bases))
    assert said in str(caught.value)
