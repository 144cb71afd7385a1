# SPDX-License-Identifier: GPL-2.0-only
"""The argument lists of QEMU, against files; ``UPDATE_GOLDEN=1`` writes them anew."""

import os
from pathlib import Path

import pytest

from harness.errors import HostError, UserError
from harness.model.machine import Machine
from harness.model.variant import MemoryModel
from harness.qemu import command, footprint
from harness.qemu.command import CommandLine, Qemu
from harness.units import GIB
from tests.support.checkout import ROOT

MACHINES = sorted((ROOT / "qemu-configs").glob("*.yaml"))
GOLDEN = ROOT / "tests" / "golden" / "argv"
QEMU = Qemu("qemu-system-x86_64", (7, 2, 22))


def line(machine: Machine, clock="time", accel="tcg", version=QEMU.version, **more) -> CommandLine:
    return CommandLine(
        machine,
        Path("bzImage"),
        Path("initramfs.cpio"),
        clock,
        accel,
        Qemu(QEMU.binary, version),
        words=("deferred_init=grow",),
        tsc_khz=2_600_000,
        **more,
    )


def shown(argv: list[str]) -> str:
    """One option with its value a line, as people compare them."""
    return " ".join(argv).replace(" -", "\n-") + "\n"


@pytest.mark.parametrize("clock", ["time", "work"])
@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
def test_argv_is_the_one_on_file(path, clock):
    golden = GOLDEN / f"{path.stem}.{clock}.txt"
    text = shown(command.render(line(Machine.load(path), clock)))
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_kvm_takes_the_address_bits_of_the_host():
    argv = command.render(line(Machine.load(MACHINES[0]), accel="kvm"))
    assert "max,host-phys-bits=on" in argv
    assert "tsc=reliable" not in argv[argv.index("-append") + 1]


def test_the_line_for_people_has_no_sockets():
    argv = command.render(line(Machine.load(MACHINES[0]), sockets=False))
    assert "stdio" in argv
    assert "-chardev" not in argv


def test_the_work_clock_needs_tcg():
    with pytest.raises(UserError, match="only TCG"):
        command.render(line(Machine.load(MACHINES[0]), "work", "kvm"))


def test_an_old_qemu_is_refused():
    with pytest.raises(HostError, match=r"QEMU 5\.2\.0 has no reserve=off"):
        command.render(line(Machine.load(MACHINES[0]), version=(5, 2, 0)))


def test_prediction_is_near_what_was_measured():
    # Peak RSS of grow on quad-16t and quad-1t, of eager on quad-64g (results/reference).
    machine = Machine.load(ROOT / "qemu-configs" / "quad-16t.yaml")
    grow = MemoryModel(memmap_share=0.018, fixed=192 << 20)
    assert footprint.footprint(machine, grow, GIB // 5).total == pytest.approx(7.9 * GIB, rel=0.15)
    machine = Machine.load(ROOT / "qemu-configs" / "quad-64g.yaml")
    eager = MemoryModel(memmap_share=1, fixed=64 << 20)
    assert footprint.footprint(machine, eager, 0).total == pytest.approx(1.34 * GIB, rel=0.15)


def test_preallocated_memory_is_all_there():
    data = {"name": "x", "description": "x", "nodes": [{"cpus": 0, "memory": "8GiB"}]}
    machine = Machine.parse({**data, "memory_backend": {"prealloc": True}}, "x.yaml")
    assert footprint.footprint(machine, MemoryModel(memmap_share=0), 0).guest == 8 * GIB
