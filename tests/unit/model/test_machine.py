# SPDX-License-Identifier: GPL-2.0-only
"""A bad machine is one error that names file, key and remedy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UserError
from harness.model.machine import SECTION, Machine
from harness.units import GIB, TIB

TWO = "description: d\nnodes:\n  - {cpus: 0, memory: 1GiB}\n  - {cpus: 1, memory: 1GiB}\n"


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
        (TWO.replace("1GiB", "-134217728"), r"nodes\[0\].memory: not a size: .*between 0 and"),
        (TWO.replace("cpus: 1", "cpus: -1"), r"nodes\[1\].cpus: not a list of CPUs"),
        (TWO.replace("1GiB", "1GB"), r"nodes\[0\].memory: not a size: '1GB'"),
        (TWO + "arch: arm64\n", r"machine: 'pc' is no board of arm64: virt"),
        (TWO + "machine: virt\n", r"machine: 'virt' is no board of x86_64: pc or q35"),
        (TWO + "arch: arm64\nmachine: virt\naccel: kvm\n", r"KVM runs no kernel of arm64 on this"),
        (TWO + "arch: riscv\n", r"arch: .*'x86_64' or 'arm64'"),
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


def test_a_machine_of_before_there_were_architectures_is_what_it_was(tmp_path: Path) -> None:
    assert "arch" not in machine(tmp_path, TWO).model_dump(mode="json")
    arm = machine(tmp_path, TWO + "arch: arm64\nmachine: virt\n")
    assert arm.model_dump(mode="json")["arch"] == "arm64"
    assert arm.architecture.qemu == "qemu-system-aarch64"


@given(st.lists(st.integers(0, 64), min_size=1, max_size=16))
def test_a_machine_survives_json(sections: list[int]) -> None:
    nodes = [{"cpus": n, "memory": s * SECTION} for n, s in enumerate(sections)]
    if any(sections):
        made = Machine.parse({"name": "m", "description": "d", "nodes": nodes}, "m")
        assert Machine.parse(made.model_dump(mode="json"), "m") == made
