# SPDX-License-Identifier: GPL-2.0-only
"""Images of disks for guests, the experiments that use them, and what they may not do."""

import hashlib
import json
from pathlib import Path

import pytest

from harness.boot.request import BootRequest, Guest
from harness.errors import UserError
from harness.guest import disk as image
from harness.guest.initramfs import Initramfs, keys
from harness.model.experiment import Experiment
from harness.model.guest import Distribution, Image
from harness.model.machine import Machine
from harness.model.variant import Variant
from harness.project import Project
from harness.qemu import command
from harness.run import loop
from harness.run.session import fit, prepare
from harness.units import MIB
from tests.support.checkout import ROOT

QCOW2 = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(504)
GROUP = {"variants": ["one"], "machines": ["small"], "clocks": {"time": {"blocks": 1}}}


def put(header: bytes, at: int, value: int) -> bytes:
    return header[:at] + value.to_bytes(8, "big") + header[at + 8 :]


def experiment(**more) -> Experiment:
    keys = {"name": "x", "description": "x", "baseline": "one", "matrix": [GROUP]}
    return Experiment(**(keys | more))


@pytest.mark.parametrize(("data", "kind"), [(QCOW2, "qcow2"), (bytes(512), "raw"), (b"", "raw")])
def test_the_format_is_read_from_the_bytes(tmp_path, data, kind):
    path = tmp_path / "disk.img"
    path.write_bytes(data)
    assert image.read(path, tmp_path).format == kind


@pytest.mark.parametrize(
    ("data", "what"),
    [(put(QCOW2, 8, 512), "a backing file"), (put(QCOW2, 72, 4), "a data file")],
)
def test_an_image_that_would_open_other_files_is_refused(tmp_path, data, what):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(data)
    with pytest.raises(UserError, match=what):
        image.read(path, tmp_path)


def test_feature_bits_of_an_old_qcow2_are_none(tmp_path):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(put(QCOW2.replace(b"\x03", b"\x02"), 72, 4))
    assert image.read(path, tmp_path).format == "qcow2"


@pytest.mark.parametrize("name", ["nothing-here.qcow2", "."])
def test_a_path_that_is_no_file_says_how_to_make_one(tmp_path, name):
    with pytest.raises(UserError, match=r"guest\.image: (.|\n)*tools/guest-image"):
        image.read(tmp_path / name, tmp_path)


def test_the_hash_is_computed_once_for_the_same_file(tmp_path, monkeypatch):
    path = tmp_path / "disk.img"
    path.write_bytes(b"one")
    first = image.read(path, tmp_path)
    (memory,) = (tmp_path / "images").iterdir()
    memory.write_text(memory.read_text().replace(first.sha256, "known"))
    assert image.read(path, tmp_path).sha256 == "known"
    path.write_bytes(b"other")
    assert image.changed(first)
    assert image.read(path, tmp_path).sha256 not in (first.sha256, "known")


def test_a_damaged_memory_of_hashes_is_no_error(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(b"one")
    first = image.read(path, tmp_path)
    (memory,) = (tmp_path / "images").iterdir()
    memory.write_text("[]")
    assert image.read(path, tmp_path) == first


def test_the_work_clock_is_refused_with_the_reason():
    work = GROUP | {"clocks": {"work": {"blocks": 1}}}
    experiment(matrix=[work])
    with pytest.raises(ValueError, match="guest: its probes run over SSH"):
        experiment(matrix=[work], guest={"image": "x"})


@pytest.mark.parametrize("root", ["vda", "/dev/../etc", "/dev/vda x", "/dev/vda\n", "auto "])
def test_a_root_that_is_no_device_is_refused(root):
    with pytest.raises(ValueError, match="root"):
        Distribution(image="x", root=root)


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


@pytest.fixture
def session(checkout, tmp_path):
    """A session of the experiment `pair`, whose guest is an image."""
    (checkout / "disk.img").write_bytes(b"disk")
    path = checkout / "experiments/pair.yaml"
    path.write_text(path.read_text() + "guest: {image: disk.img}\n")
    project = Project(checkout, tmp_path / "cache")
    return lambda: prepare(project, project.experiment(Path("pair")), print)


def test_the_lock_names_the_bytes_of_the_image(session, checkout):
    first = session()
    assert first.lock.image_sha256 == first.guest.image.sha256
    assert session().lock.hash == first.lock.hash
    (checkout / "disk.img").write_bytes(b"another disk")
    assert session().lock.hash != first.lock.hash


def test_an_experiment_without_a_guest_is_called_what_it_was(session):
    lock = session().lock
    plain = lock.experiment.model_copy(update={"guest": None})
    bare = lock.model_copy(
        update={"experiment": plain, "image_sha256": None, "program_sha256": None}
    )
    # As before there were such keys: the hash over everything else.
    data = bare.model_dump(mode="json")
    for key in ("load_1min", "harness_version", "tsc_khz", "host_kernel"):
        del data["environment"][key]
    for entry in (data["experiment"], *data["variants"].values(), *data["machines"].values()):
        for key in ("description", "origin", "claims", "host_labels"):
            entry.pop(key, None)
    del data["image_sha256"], data["program_sha256"], data["experiment"]["guest"], data["gate"]
    text = json.dumps(data, sort_keys=True)
    assert bare.hash == hashlib.sha256(text.encode()).hexdigest()[:12] != lock.hash


def test_an_image_stays_on_the_host_that_has_it(session, tmp_path):
    class Elsewhere:
        async def execute(self, job):
            raise AssertionError("nothing may be booted")

    found = session()
    options = loop.RunOptions(tmp_path / "results")
    results = loop.open_results(found, options)
    with pytest.raises(UserError, match="its image is not sent to other hosts"):
        loop.run(found, results, options, lambda event: None, Elsewhere())


def test_every_variant_is_built_with_what_the_guest_needs(checkout):
    project = Project(checkout, checkout)
    built = Variant(name="a", description="a", fragments=("base",))
    wanted = experiment(guest={"image": "x", "fragments": ["base", "distro"]})
    (checkout / "kernel-patches/configs").mkdir()
    (checkout / "kernel-patches/configs/base.config").touch()
    with pytest.raises(UserError, match=r"guest\.fragments: no such file: .*distro\.config"):
        fit(project, wanted, built)
    (checkout / "kernel-patches/configs/distro.config").touch()
    assert fit(project, wanted, built).fragments == ("base", "distro")
    assert fit(project, experiment(), built) == built
    prebuilt = Variant(name="b", description="b", prebuilt={"path": "x"})
    assert fit(project, wanted, prebuilt) == prebuilt


def test_the_keys_lie_beside_the_initramfs_and_are_private():
    archive = keys(b"ssh-ed25519 AAAA\n", b"host")
    assert archive.startswith(b"070701") and len(archive) % 4 == 0
    assert archive.count(b"00008180") == 2  # a regular file, 0600
    assert b"ssh-ed25519 AAAA\n" in archive
