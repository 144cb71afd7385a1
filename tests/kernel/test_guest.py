# SPDX-License-Identifier: GPL-2.0-only
"""A real Debian as the guest: a kernel of ours boots it, and its probes report over SSH."""

import hashlib
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from harness.model.experiment import Experiment
from harness.model.schedule import Slot
from harness.results.folder import Results
from harness.run import loop
from harness.run.session import prepare
from tests.support.real import ROOT

TOOL = ROOT / "tools/guest-image"
SECTOR, START = 512, 2048


@pytest.fixture(scope="session")
def image(project) -> Path:
    """The image that the tool makes, kept in the cache until the tool changes."""
    name = hashlib.sha256(TOOL.read_bytes()).hexdigest()[:12]
    path = project.cache / "images" / f"debian-{name}.qcow2"
    if not path.is_file():
        if os.geteuid() != 0:
            pytest.skip("an image with owners needs root")
        done = subprocess.run([TOOL, path], capture_output=True, text=True, timeout=900)
        if done.returncode == 3:
            pytest.skip(f"no image of Debian can be made here: {done.stderr.strip()[-300:]}")
        assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def boot(project, tmp_path):
    """Boots eager into an image; answers the run and its folder."""

    def run(path, words=(), **guest):
        experiment = Experiment(
            name="guest",
            description="a distribution",
            baseline="eager",
            matrix=[{"variants": ["eager"], "machines": ["tiny-2g"], "clocks": {"time": {}}}],
            probes={"touch_bytes": "64MiB", "touch_threads": 2},
            boot=words,
            guest={"image": str(path), **guest},
        )
        slot = Slot("eager", "tiny-2g", "time", 0, 0)
        session = prepare(project, experiment)
        return loop.boot_once(session, Results(tmp_path), slot), tmp_path / "runs" / slot.key

    return run


def left_behind() -> set[Path]:
    """What QEMU calls its temporary images, should they have names, and our own folders."""
    found = {*Path("/var/tmp").glob("vl.*"), *Path("/tmp").glob(f"pageinit-vm-{os.getpid()}-*")}
    return {path for path in found if path.exists()}


def test_a_distribution_boots_and_its_probes_report(boot, image):
    before, there = hashlib.sha256(image.read_bytes()).hexdigest(), left_behind()
    run, folder = boot(image)
    assert run.judgement.outcome == "ok", run.judgement
    probes = [probe["probe"] for probe in run.probes]
    assert probes[0] == "hello" and probes[-1] == "done"
    assert {"meminfo", "node_meminfo", "zoneinfo", "touch", "touch_total"} < set(probes)
    assert not any("error" in probe for probe in run.probes)
    assert run.probes[0]["release"].startswith("6.12.")
    assert b"Debian GNU/Linux" in (folder / "console.log").read_bytes()
    login = next(phase for phase in run.phases if phase.name == "login")
    assert 0 < login.start < login.end == run.visit.login_s < run.ending.wall_s
    assert {"memmap_init", "memblock_free_all"} < {p.name for p in run.phases if p.source == "mark"}
    # The image has no host key: the one that was met is ours, and of this boot.
    assert run.visit.host_key.startswith("ssh-ed25519 SHA256:")
    assert "OpenSSH" in run.visit.server
    assert (folder / "known_hosts").read_text().count("\n") == 1
    assert hashlib.sha256(image.read_bytes()).hexdigest() == before
    assert left_behind() == there


def partitioned(image: Path, folder: Path) -> Path:
    """A raw disk with the file system of an image in its second partition."""
    if not shutil.which("qemu-img"):
        pytest.skip("qemu-img is not installed")
    system, disk = folder / "system.raw", folder / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, system], check=True)
    size = system.stat().st_size // SECTOR
    entries = ((SECTOR, START - SECTOR), (START, size))
    table = b"".join(struct.pack("<B3xB3xII", 0, 0x83, first, count) for first, count in entries)
    with disk.open("wb") as file:
        file.write(bytes(446) + table + bytes(32) + b"\x55\xaa")
    argv = ["dd", f"if={system}", f"of={disk}", f"seek={START}", "bs=512", "conv=notrunc,sparse"]
    subprocess.run([*argv, "status=none"], check=True)
    os.truncate(disk, (START + size) * SECTOR)
    system.unlink()
    return disk


def test_a_guest_without_an_ssh_server_is_named(boot, image, tmp_path):
    """On a partition of a raw disk, which has to be found first."""
    disk = partitioned(image, tmp_path)
    run, folder = boot(disk, ("systemd.mask=ssh.service", "systemd.mask=ssh.socket"), login_s=6)
    assert "systemd[1]: Hostname set to" in (folder / "console.log").read_text(errors="replace")
    assert run.ending.cause == "no-visit"
    assert (run.judgement.outcome, run.visit) == ("incomplete", None)
    assert run.judgement.reason.startswith("closed: "), run.judgement
