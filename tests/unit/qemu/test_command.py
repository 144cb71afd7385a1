# SPDX-License-Identifier: GPL-2.0-only
"""The argument lists of QEMU, against files; ``UPDATE_GOLDEN=1`` writes them anew."""

import os
from pathlib import Path

import pytest

from harness.errors import HostError, UserError
from harness.model.machine import Machine
from harness.qemu import command
from harness.qemu.command import CommandLine, Qemu
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
        hz=250,
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


@pytest.mark.parametrize(("hz", "lpj"), [(100, 10_000_000), (250, 4_000_000), (1000, 1_000_000)])
def test_no_cpu_counts_its_delay_loop_on_the_work_clock(hz, lpj):
    """What the first CPU takes from the TSC: its cycles in a tick (arch/x86/kernel/tsc.c)."""
    assert f"lpj={lpj}" in command.kernel_words("work", "tcg", None, hz)
    assert "lpj=" not in " ".join(command.kernel_words("work", "tcg", None, None))
    assert "lpj=" not in " ".join(command.kernel_words("time", "tcg", None, hz))


def test_kvm_takes_the_address_bits_of_the_host():
    argv = command.render(line(Machine.load(MACHINES[0]), accel="kvm"))
    assert "max,host-phys-bits=on" in argv


def test_time_under_kvm_is_that_of_the_tsc():
    """Without KVM_GUEST and an invariant TSC the kernel would keep time by the HPET."""
    words = command.kernel_words("time", "kvm", 2_445_405, 250)
    assert {"tsc=reliable", "tsc_early_khz=2445405", "no_timer_check"} <= set(words)
    assert "no_timer_check" not in command.kernel_words("time", "tcg", 2_445_405, 250)
    assert not any(word.startswith("tsc_") for word in command.kernel_words("time", "kvm", None, 0))


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


@pytest.mark.parametrize(
    ("cores", "nodes", "smp"),
    [(85, 3, "255,sockets=255,cores=1"), (64, 3, "192,sockets=3,cores=64"), (1, 2, "2,sockets=2")],
)
def test_ids_of_cpus_stay_within_eight_bits(cores, nodes, smp):
    each = [
        {"cpus": f"{n * cores}-{n * cores + cores - 1}", "memory": "1GiB"} for n in range(nodes)
    ]
    many = Machine.parse({"name": "m", "description": "d", "nodes": each}, "m")
    argv = command.render(
        CommandLine(many, Path("k"), Path("i"), "time", "tcg", Qemu("q", (7, 2, 0)))
    )
    assert argv[argv.index("-smp") + 1].startswith(smp)
    assert command.obstacle(many) is None


def test_a_board_stops_at_255_cpus():
    data = {"name": "m", "description": "d", "nodes": [{"cpus": "0-299", "memory": "1GiB"}]}
    assert "pc stops at 255 CPUs" in (command.obstacle(Machine.parse(data, "m")) or "")
    assert command.obstacle(Machine.parse({**data, "machine": "microvm"}, "m")) is None


@pytest.mark.parametrize(("bits", "fits"), [(39, False), (41, False), (42, True), (None, True)])
def test_a_host_whose_cpu_cannot_address_the_memory_is_no_host_for_kvm(bits, fits):
    data = {"name": "m", "description": "d", "nodes": [{"cpus": "0", "memory": "1TiB"}]}
    said = command.obstacle(Machine.parse(data, "m"), bits)
    assert (said is None) == fits
    assert fits or said.startswith("1TiB needs 42 physical address bits")
