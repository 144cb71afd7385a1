# SPDX-License-Identifier: GPL-2.0-only
"""What a boot asks QEMU and the guest for."""

from dataclasses import replace
from pathlib import Path

from harness import host
from harness.boot.request import BootRequest, Guest, probe_words
from harness.guest.initramfs import Initramfs
from harness.model.experiment import Probes
from harness.model.guest import Distribution, Image
from harness.model.machine import Machine
from harness.qemu import command
from harness.units import MIB
from tests.support.checkout import ROOT


def test_the_command_line_never_writes_to_the_image_and_opens_one_port():
    asked = request(Path("/some,where/disk.raw"))
    line = asked.command(command.Qemu("qemu-system-x86_64", (7, 2, 0)))
    argv = command.render(line)
    drive = argv[argv.index("-drive") + 1]
    assert drive == "file=/some,,where/disk.raw,format=raw,if=none,id=disk,snapshot=on"
    network = argv[argv.index("-netdev") + 1].split(",")
    assert "restrict=on" in network
    assert [w for w in network if "fwd" in w] == ["hostfwd=tcp:127.0.0.1:0-:22"]
    assert argv[argv.index("-initrd") + 1] == "entry.cpio"
    assert command.PROBES not in " ".join(argv)
    assert "guest.root=auto guest.user=root" in line.append and "probe.run" not in line.append


def request(path: Path) -> BootRequest:
    disk = Image(path, "raw", "0", (0, 0, 0))
    guest = Guest(Distribution(image=str(path)), disk, Initramfs(Path("probe"), "0"))
    machine = Machine.load(ROOT / "qemu-configs/tiny-2g.yaml")
    return BootRequest(Path("bzImage"), Path("entry"), machine, "tcg", guest=guest)


def test_a_distribution_is_given_time_and_memory():
    asked = request(Path("disk"))
    assert asked.deadline_s == (asked.machine.deadline_s + 60) * 4
    assert asked.taken == asked.probes.touch_bytes + 512 * MIB


def test_the_guest_is_told_what_to_probe():
    words = probe_words(Probes(run=("meminfo",), touch_bytes="1MiB"))
    assert words[:2] == ("probe.run=meminfo", "probe.touch_bytes=1048576")


def test_the_work_clock_is_given_more_time(tmp_path):
    slow = BootRequest(tmp_path, tmp_path, Machine.load(ROOT / "qemu-configs/tiny-2g.yaml"), "tcg")
    work = BootRequest(slow.kernel, slow.initrd, slow.machine, "tcg", "work")
    assert work.scaled.silence_s == slow.scaled.silence_s * host.WORK_SLOWDOWN
    assert "-icount" in command.render(work.command(command.Qemu("qemu-system-x86_64", (7, 2, 0))))


def test_limits_under_kvm_follow_what_its_probe_boot_took(tmp_path):
    machine = Machine.load(ROOT / "qemu-configs/tiny-2g.yaml")
    asked = BootRequest(tmp_path, tmp_path, machine, "kvm")
    slow = replace(asked, kvm_slowdown=40.0)
    assert slow.deadline_s == 40 * asked.deadline_s == 40 * machine.deadline_s
    assert slow.scaled.silence_s == 40 * asked.scaled.silence_s
    # TCG's are for TCG alone.
    assert replace(slow, accel="tcg").slowdown == host.SLOWDOWN["tcg"]


def test_under_kvm_alone_the_host_says_what_can_be_addressed(monkeypatch):
    monkeypatch.setattr(host, "address_bits", lambda: 39)
    machine = Machine.load(ROOT / "qemu-configs/quad-1t.yaml")
    asked = BootRequest(Path("bzImage"), Path("rd"), machine, "kvm")
    assert "those of the host's CPU, 39" in (asked.obstacle or "")
    assert replace(asked, accel="tcg").obstacle is None
    small = Machine.load(ROOT / "qemu-configs/quad-256g.yaml")
    assert replace(asked, machine=small).obstacle is None


def test_an_image_needs_a_kernel_that_reaches_its_disk(tmp_path):
    config = tmp_path / "config"
    config.write_text("CONFIG_PCI=y\nCONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_BLK=m\nCONFIG_EXT4_FS=m\n")
    asked = replace(request(Path("disk")), config=config)
    assert "CONFIG_VIRTIO_BLK=m is a module" in (asked.obstacle or "")
    # Our initramfs needs no disk.
    assert replace(asked, guest=None).obstacle is None
    config.write_text(config.read_text().replace("=m", "=y"))
    assert asked.obstacle is None
