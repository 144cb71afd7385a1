# SPDX-License-Identifier: GPL-2.0-only
"""Each bad input is one error that names file, key and remedy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.model.experiment import Experiment
from harness.model.machine import SECTION, Machine
from harness.model.schema import load_named
from harness.model.variant import Variant
from harness.units import GIB, TIB

TWO = "description: d\nnodes:\n  - {cpus: 0, memory: 1GiB}\n  - {cpus: 1, memory: 1GiB}\n"
EXPERIMENT = (
    "description: d\nbaseline: eager\nmatrix:\n  - variants: [eager, grow]\n"
    "    machines: [a, b]\n    clocks: {time: {blocks: 3, warmup: 1}, work: {}}\n"
)


def machine(tmp_path: Path, text: str) -> Machine:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    return Machine.load(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (TWO + "memry: 3\n", r"m.yaml: memry: unknown key; did you mean 'memory_backend'|memry"),
        (
            TWO.replace("memory: 1GiB}\n  -", "memroy: 1GiB}\n  -"),
            r"nodes\[0\].memroy: unknown key",
        ),
        (
            TWO.replace("1GiB", "100MiB"),
            r"nodes\[0\].memory: 100MiB is no multiple of a memory sec",
        ),
        (TWO.replace("cpus: 1", "cpus: 0"), r"nodes\[1\].cpus: CPU 0 is in nodes\[0\] already"),
        (TWO.replace("cpus: 1", "cpus: 3"), r"CPUs must be 0..N without a gap"),
        (TWO + "distances: [[10, 20], [30, 10]]\n", r"distances\[0\]\[1\]: 20, but .* symmetric"),
        (TWO + "distances: [[10, 20]]\n", r"square matrix of 2 rows"),
        (TWO + "distances: [[10, 9], [9, 10]]\n", r"distances\[0\]\[1\]: 9 is not in 11..255"),
        (TWO + "distances: {local: 12}\n", r"distances\[0\]\[0\]: a node is 10 from itself"),
        (TWO.replace("1GiB", "40TiB"), r"needs 47 physical address bits"),
        (TWO.replace("1GiB", "1GB"), r"nodes\[0\].memory: not a size: '1GB'"),
        ("[1, 2]\n", r"expected keys and values"),
        ("a: [\n", r"not YAML"),
        ("!!map [a]\n", r"not YAML"),
        ("description: e\n" + TWO, r"m.yaml: line 2: 'description' again; it stands on line 1$"),
        (TWO.replace("{cpus: 1,", "{cpus: 1, 'cpus': 2,"), r"line \d+: 'cpus' again"),
        ("name: x\n" + TWO, r"drop the key"),
        ("description: d\nnodes: []\n", r"nodes: "),
    ],
)
def test_a_bad_machine_is_one_error(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        machine(tmp_path, text)
    assert "after validation" not in str(caught.value) or "nodes: []" in text


def test_what_follows_from_the_nodes(tmp_path: Path) -> None:
    found = machine(tmp_path, TWO)
    assert (found.name, found.memory, found.cpus, found.pages) == ("m", 2 * GIB, 2, 524288)
    assert found.memmap == 2 * GIB // 64
    assert found.distance_matrix == ((10, 20), (20, 10))


@pytest.mark.parametrize(
    ("size", "bits"), [(64 * GIB, 40), (TIB, 42), (16 * TIB, 45), (62 * TIB, 46)]
)
def test_physical_address_bits(size: int, bits: int) -> None:
    made = Machine.parse(
        {"name": "m", "description": "d", "nodes": [{"cpus": 0, "memory": size}]}, "m"
    )
    assert made.phys_bits == bits


@given(st.lists(st.integers(0, 64), min_size=1, max_size=16))
def test_a_machine_survives_json(sections: list[int]) -> None:
    nodes = [{"cpus": n, "memory": s * SECTION} for n, s in enumerate(sections)]
    if any(sections):
        made = Machine.parse({"name": "m", "description": "d", "nodes": nodes}, "m")
        assert Machine.parse(made.model_dump(mode="json"), "m") == made


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "quad-16g.yaml").write_text(TWO)
    with pytest.raises(UserError, match="did you mean 'quad-16g'"):
        load_named(Machine, tmp_path, "qaud-16g")
    with pytest.raises(UserError, match="there are: quad-16g"):
        load_named(Machine, tmp_path, "../quad-16g")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("description: d\nfragments: [base]\nboot: ['a b']\n", "is not one kernel parameter"),
        ("description: d\n", "name at least one fragment"),
        ("description: d\nprebuilt: {package: p}\nseries: [s]\n", "takes no series"),
        ("description: d\nprebuilt: {}\n", "either package or path"),
        ("description: d\nfragments: [base]\nclaims: [{metric: m}]\n", r"claims\[0\].text"),
    ],
)
def test_a_bad_variant_is_one_error(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "v.yaml").write_text(text)
    with pytest.raises(UserError, match=complaint):
        load_named(Variant, tmp_path, "v")


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
