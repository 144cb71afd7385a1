# SPDX-License-Identifier: GPL-2.0-only
"""Blocks booted on hosts over SSH, with the fake QEMU there, and what goes wrong on the way."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError, RemoteError
from harness.hosts import porter
from harness.hosts.courier import check_path
from harness.hosts.roster import Patience
from harness.model.schedule import Slot
from harness.results.ledger import Fate, Ledger
from harness.run import loop
from tests.ssh.fleet import fleet_folder, running, when
from tests.support.checkout import ROOT, heed_ctrl_c

pytestmark = pytest.mark.ssh


def test_blocks_are_booted_on_hosts_and_come_back(fleet):
    servers = [fleet.serve(name) for name in ("one", "two")]
    assert fleet.run() == 0
    assert fleet.counted() == 4
    assert sorted(b for b, *_ in fleet.ledger) == [
        "small/time/000",
        "small/time/001",
    ]
    assert {fate for *_, fate in fleet.ledger} == {Fate.DONE}
    assert {host for _, _, host, _ in fleet.ledger} == {"one", "two"}
    folder = fleet.results.path
    assert (folder / "runs/one/small/time/000/console.log").stat().st_size > 1000
    assert not list((folder / "incoming").iterdir()) and not (folder / "aside").exists()
    for server in servers:
        assert not list((fleet_folder(server) / "blocks").iterdir())


def test_only_what_a_host_lacks_is_sent(fleet):
    server = fleet.serve("one")
    fleet.run()
    files = {p: p.stat().st_mtime_ns for p in (fleet_folder(server) / "files").iterdir()}
    assert len(files) == 4 and all(p.stat().st_mode & 0o77 == 0 for p in files)
    fleet.again()
    fleet.run()
    assert files == {p: p.stat().st_mtime_ns for p in (fleet_folder(server) / "files").iterdir()}


@pytest.mark.parametrize("damage", ["half", "wrong"])
def test_a_copy_that_broke_off_goes_on_and_a_wrong_one_is_refused_once(fleet, damage):
    server = fleet.serve("one")
    fleet.run()
    files = fleet_folder(server) / "files"
    packed = {p.stem: p for p in (fleet.session.project.cache / "fleet").glob("*.zz")}
    name, whole = next((n, p) for n, p in packed.items() if (files / n).is_file())
    (files / name).unlink()
    data = whole.read_bytes()
    half = data[: len(data) // 2]
    part = files / f"{name}.zz.part"
    part.write_bytes(half if damage == "half" else bytes(len(half)))
    fleet.again()
    assert fleet.run() == 0
    assert (files / name).is_file() and not part.exists()
    fates = [fate for *_, fate in fleet.ledger]
    assert fates.count(Fate.FAILED) == (damage == "wrong") and fleet.counted() == 4


def test_a_failed_boot_is_a_row_and_no_failure_of_the_host(either):
    either.serve("one", play="panic")
    assert either.run() == 4
    assert either.counted() == 4
    assert {fate for *_, fate in either.ledger} == {Fate.DONE}


def test_a_connection_that_breaks_loses_nothing(either):
    """The server and all its sessions are killed while a block runs; then it is there again."""
    server = either.serve("one")

    def cut():
        server.stop()
        time.sleep(0.5)
        server.start()

    thread = when(lambda: running(server, "harness.hosts.worker"), cut)
    assert either.run() == 0
    thread.join(30)
    assert either.counted() == 4
    assert any("tries again" in text for text in either.said), either.said
    assert [fate for *_, fate in either.ledger] == [Fate.DONE] * 2


@pytest.mark.parametrize("victim", ["harness.hosts.worker", "harness.hosts.supervisor"])
def test_a_killed_worker_or_supervisor_is_a_failed_attempt_and_leaves_no_qemu(either, victim):
    server = either.serve("one")
    killed = []

    def kill():
        for pid in running(server, victim):
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    when(lambda: list(fleet_folder(server).glob("blocks/*/results/runs/*/*/*/*")), kill)
    assert either.run() == 0
    assert killed and either.counted() == 4
    fates = [fate for *_, fate in either.ledger]
    assert fates.count(Fate.FAILED) == 1 and fates.count(Fate.DONE) == 2
    assert not running(server, "qemu-system-x86_64")


def test_a_worker_that_outlives_its_deadline_is_killed_and_named(either, monkeypatch):
    monkeypatch.setattr(loop, "_longest", lambda session, slot: 0.75)
    limits = either.session.experiment.limits.model_copy(
        update={"silence_s": 99.0, "progress_s": 99.0}
    )
    experiment = either.session.experiment.model_copy(update={"limits": limits})
    lock = either.session.lock.model_copy(update={"experiment": experiment})
    either.session = replace(either.session, experiment=experiment, lock=lock)
    either.results = loop.open_results(either.session, either.options)
    server = either.serve("one", play="hang")
    either.patience = Patience(poll_s=0.2, margin_s=20, failures=1)
    with pytest.raises(HarnessError, match="could not be booted anywhere"):
        either.run()
    assert any("the worker deadline" in text for text in either.said)
    time.sleep(0.2)
    assert not running(server, "harness.hosts.worker") and not running(server, "qemu-system-x86_64")


def test_a_killed_controller_finds_its_blocks_again(either, checkout):
    server = either.serve("one")
    argv = [sys.executable, "-m", "harness", *either.words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL) as controller:
        end = time.monotonic() + 60
        while not running(server, "harness.hosts.worker"):
            assert time.monotonic() < end and controller.poll() is None
            time.sleep(0.01)
        controller.kill()
    (worker,) = running(server, "harness.hosts.worker")
    either.results = loop.open_results(either.session, either.options)
    assert either.run() == 0
    assert any("taken up again on one, attempt 1" in text for text in either.said)
    assert either.counted() == 4
    assert either.ledger[0][1:] == (1, "one", Fate.LOST)
    assert [fate for *_, fate in either.ledger[1:]] == [Fate.DONE] * 2
    assert not (either.results.path / "aside").exists()
    assert not running(server, "harness.hosts.worker")
    assert not list((fleet_folder(server) / "blocks").iterdir()) and worker


def test_ctrl_c_ends_the_controller_at_once_and_not_the_block(either, checkout):
    server = either.serve("one", play="hang")
    argv = [sys.executable, "-m", "harness", *either.words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        argv, env=env, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c
    ) as controller:
        end = time.monotonic() + 60
        while not running(server, "harness.hosts.worker"):
            assert time.monotonic() < end
            time.sleep(0.01)
        start = time.monotonic()
        controller.send_signal(signal.SIGINT)
        said = controller.communicate()[1].decode()
    assert controller.returncode == 130 and time.monotonic() - start < 10
    assert "Traceback" not in said, said
    for pid in running(server, "harness.hosts.worker"):
        os.kill(pid, signal.SIGKILL)


def test_a_host_that_fails_is_set_aside_and_the_others_do_its_work(either):
    either.serve("good")
    bad = either.serve("bad")
    (bad.home / ".cache").write_text("no folder can be made here")
    either.patience = Patience(poll_s=0.2, margin_s=20, failures=2, attempts=9)
    assert either.run() == 0
    assert either.counted() == 4
    assert {host for _, _, host, fate in either.ledger if fate == Fate.DONE} == {"good"}


def test_an_unknown_host_key_is_a_failure_with_a_name(fleet):
    fleet.serve("one")
    fleet.lab.known.unlink()
    with pytest.raises(HarnessError, match="could not be booted anywhere"):
        fleet.run()
    entries = Ledger(fleet.results.path).read()[0]
    assert {e.detail.partition(":")[0] for e in entries if e.fate} == {"unknown-host-key"}
    assert fleet.counted() == 0


SLOTS = [Slot("one", "small", "time", 0, 0), Slot("a@2", "m", "work", -1, 0)]


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("runs/one/small/time/000/run.json", True),
        ("runs/one/small/time/000.attempt2/console.log", True),
        ("runs/a@2/m/work/warmup/run.json", True),
        ("runs/one/small/time/001/run.json", False),
        ("runs/one/small/time/000/../../x", False),
        ("runs/one/small/time/000/..", False),
        ("runs/one/small/time/000/.bashrc", False),
        ("runs/one/small/time/000/a/b", False),
        ("runs/one/small/time/000.part/console.log", True),
        ("runs/one/small/time/000.old/run.json", False),
        ("/etc/passwd", False),
        ("runs/one/small/time/000/a\nb", False),
        ("", False),
    ],
)
def test_a_path_is_one_of_a_boot_that_was_asked_for(name, good):
    if good:
        check_path(name, SLOTS)
    else:
        with pytest.raises(RemoteError, match="nobody asked for"):
            check_path(name, SLOTS)


@given(st.text() | st.lists(st.sampled_from(["..", "runs", "one", "000", "/", "a"])).map("/".join))
def test_no_path_that_is_let_in_leaves_the_folder(name):
    try:
        check_path(name, SLOTS)
    except RemoteError:
        return
    assert ".." not in name.split("/") and name.startswith("runs/")


def test_what_the_porter_is_asked_for_cannot_leave_its_folder(tmp_path, monkeypatch):
    for name in ("../x", "a/b", "", "..", "/etc", ".x"):
        with pytest.raises(SystemExit):
            porter.block_folder(name)
    assert porter.unpack("../../etc/passwd") is False


def test_the_wheel_is_a_wheel(tmp_path):
    from harness.hosts import wheel

    data = wheel.build()
    assert data == wheel.build()
    (tmp_path / "pageinit-0.1.0-py3-none-any.whl").write_bytes(data)
    shutil.unpack_archive(tmp_path / "pageinit-0.1.0-py3-none-any.whl", tmp_path / "x", "zip")
    for path in (ROOT / "harness").rglob("*.py"):
        assert (tmp_path / "x" / path.relative_to(ROOT)).read_bytes() == path.read_bytes()
