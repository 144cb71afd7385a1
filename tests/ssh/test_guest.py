# SPDX-License-Identifier: GPL-2.0-only
"""Guests that are images, as their SSH server shows them: good ones, and each way to be hostile."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from harness.boot import boot, guest_ssh
from harness.boot.request import BootRequest, Guest
from harness.guest import initramfs
from harness.model.experiment import Probes, Timeouts
from harness.model.guest import Distribution, Image
from harness.model.machine import Machine
from harness.model.run import Outcome
from harness.parse import evidence
from harness.units import MIB
from tests.support.checkout import FAKES, ROOT
from tests.support.guestsshd import GuestSshd

pytestmark = pytest.mark.ssh
LIMITS = Timeouts(silence_s=10, progress_s=10, grace_s=0.1)


@pytest.fixture
def guest(tmp_path, monkeypatch):
    """Boots a guest whose server plays a part; answers what came of it, its folder, the server."""
    servers = []
    monkeypatch.setenv("PATH", f"{FAKES}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_QEMU", "ok")
    monkeypatch.setenv("FAKE_CONSOLE", str(ROOT / "tests/golden/console/grow-1t.log"))
    monkeypatch.setattr(guest_ssh, "LOGIN_PAUSE_S", 0.1)
    monkeypatch.setattr(guest_ssh, "STEPS", replace(guest_ssh.STEPS, banner_s=0.3))

    def run(part, login_s=8.0, limits=LIMITS, room=64 * MIB):
        server = GuestSshd(tmp_path, part)
        servers.append(server)
        monkeypatch.setenv("FAKE_PORT", str(server.port))
        monkeypatch.setenv("FAKE_KEYS", str(server.keys))
        folder = tmp_path / "run"
        folder.mkdir()
        return boot.boot(request(tmp_path, login_s / 4, limits, room), folder), folder, server

    yield run
    for server in servers:
        server.stop()
    assert not list(Path("/tmp").glob(f"pageinit-vm-{os.getpid()}-*"))


def request(folder, login_s=1.0, limits=LIMITS, room=MIB):
    disk, entry, program = (folder / name for name in ("disk", "entry.cpio", "probe"))
    for path in (disk, entry, program):
        path.write_bytes(b"1234")
    state = disk.stat()
    image = Image(disk, "raw", "0", (state.st_size, state.st_mtime_ns, state.st_ino))
    distribution = Distribution(image=str(disk), login_s=login_s, room=room)
    machine = Machine.load(ROOT / "qemu-configs/tiny-2g.yaml")
    return BootRequest(
        folder / "bzImage",
        entry,
        machine.model_copy(update={"deadline_s": 10}),
        "tcg",
        probes=Probes(run=("meminfo",)),
        limits=limits,
        guest=Guest(distribution, image, initramfs.Initramfs(program, "0")),
    )


def judged(seen, folder):
    evidence.index(folder, seen.chunks)
    return evidence.derive(folder, seen.ending, "time")


def test_probes_run_in_a_guest_that_lets_us_in(guest):
    seen, folder, server = guest("good")
    assert seen.ending.cause == "done", seen.ending
    names = [probe["probe"] for probe in judged(seen, folder).probes]
    assert names == ["hello", "meminfo", "done"]
    assert (server.home / "pageinit-probe").read_bytes() == b"1234"
    assert server.commands[0] == "chmod 700 pageinit-probe"
    assert server.commands[-1].startswith("./pageinit-probe --here meminfo '' ")
    assert judged(seen, folder).judgement.outcome == Outcome.OK


def test_the_host_key_is_recorded_at_the_first_contact(guest):
    seen, folder, server = guest("good")
    assert seen.login.host_key == f"ecdsa-sha2-nistp256 {server.fingerprint}"
    assert seen.login.server.startswith("SSH-2.0-paramiko")
    assert 0 < seen.login.login_s <= seen.ending.wall_s
    known = folder / "known_hosts"
    assert known.read_text().startswith(f"[127.0.0.1]:{server.port} ecdsa-sha2-nistp256 ")
    assert stat.S_IMODE(known.stat().st_mode) == 0o600


def test_the_key_is_of_one_boot_and_leaves_nothing_behind(guest, tmp_path):
    _, folder, server = guest("good")
    public = server.keys.read_text()
    assert public.startswith("ssh-ed25519 ")
    kept = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"PRIVATE KEY" not in kept
    assert not any(public.split()[1] in p.read_text() for p in folder.iterdir() if p.is_file())


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("closed", "closed: "),
        ("garbage", "bad-answer: what it speaks is no SSH: 'utf-8' codec"),
        ("silent", "silent: no answer"),
        ("drip", "silent: no answer from an SSH server within"),
        ("refuse", "login: root: 1 keys were refused"),
        ("rekey", "changed-host-key: shows another key than the one it is known by: ecdsa"),
        ("flood", "too-large: ./pageinit-probe: its answer has more than 4MiB"),
        ("break", "closed: "),
        ("cannot", "command: ./pageinit-probe: status 126: ./pageinit-probe: cannot execute"),
    ],
)
def test_a_hostile_guest_is_a_named_outcome(guest, monkeypatch, part, reason):
    seen, folder, _ = guest(part, login_s=1.0)
    assert seen.ending.cause == "no-visit"
    judgement = judged(seen, folder).judgement
    assert judgement.outcome == Outcome.INCOMPLETE
    assert judgement.reason.startswith(reason), judgement.reason
    assert seen.ending.wall_s < 60


def test_a_flood_is_cut_off(guest):
    _, folder, _ = guest("flood")
    assert (folder / "probes.jsonl").stat().st_size < 1000


def test_a_guest_writes_no_more_to_disk_than_it_has_room_for(guest):
    seen, folder, _ = guest("good", room=3 * MIB)
    assert seen.ending.cause == "done"
    assert (folder / "qemu.stderr").read_text() == "3145728 bytes, then: File too large\n"


def test_what_a_guest_says_is_kept_as_unreadable(guest):
    seen, folder, _ = guest("lie")
    assert seen.ending.cause == "done"
    probes = judged(seen, folder).probes
    assert [p["probe"] for p in probes] == ["hello", *["unreadable"] * 4, "done"]


def test_a_probe_that_was_killed_says_so(guest):
    seen, folder, _ = guest("killed")
    _, failed, _ = judged(seen, folder).probes
    assert (failed["probe"], failed["error"]) == ("meminfo", "status 139")
    assert failed["reason"].startswith("Segmentation") and len(failed["reason"]) <= 200


def test_a_guest_that_says_it_is_done_and_breaks_off_is_not(guest):
    seen, folder, _ = guest("break")
    assert json.loads((folder / "probes.jsonl").read_bytes().split(b"\n")[0])["probe"] == "hello"
    (folder / "probes.jsonl").write_bytes(b'{"probe":"done"}\n')
    assert judged(seen, folder).judgement.outcome == Outcome.INCOMPLETE


def test_an_image_that_has_changed_is_not_booted(guest, tmp_path, monkeypatch):
    asked = request(tmp_path)
    asked.guest.image.path.write_bytes(b"something else")
    (tmp_path / "run").mkdir()
    seen = boot.boot(asked, tmp_path / "run")
    assert seen.ending.cause == "start-refused"
    assert "has changed since its hash was taken" in seen.ending.detail
