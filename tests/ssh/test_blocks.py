# SPDX-License-Identifier: GPL-2.0-only
"""Blocks booted on hosts over SSH, with the fake QEMU there: where they go, and what is left."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import HarnessError, UserError
from harness.results.folder import Results
from harness.results.ledger import Fate, Ledger
from harness.run import loop
from tests.support.checkout import heed_ctrl_c
from tests.support.hosts import (
    BLOCK,
    QEMU,
    SUPERVISOR,
    WORKER,
    blocks,
    gone,
    home,
    kill,
    running,
    until,
    when,
)

pytestmark = pytest.mark.ssh


def test_blocks_are_booted_on_hosts_and_come_back(hosts):
    servers = [hosts.serve(name) for name in ("one", "two")]
    assert hosts.run() == 0
    assert hosts.counted() == 4
    assert sorted(b for b, *_ in hosts.ledger) == ["small/time/000", "small/time/001"]
    assert hosts.fates == [Fate.DONE] * 2
    assert {host for _, _, host, _ in hosts.ledger} <= {"one", "two"}
    folder = hosts.results.path
    assert (folder / "runs/one/small/time/000/console.log").stat().st_size > 1000
    assert not list((folder / "incoming").iterdir()) and not (folder / "aside").exists()
    assert all(path.stat().st_mode & 0o77 == 0 for path in folder.glob("runs/*/*/*/*/console.log"))
    for server in servers:
        assert not blocks(server)
        assert gone(server)


def test_only_what_a_host_lacks_is_sent(hosts):
    server = hosts.serve("one")
    hosts.run()
    files = {p: p.stat().st_mtime_ns for p in (home(server) / "files").iterdir()}
    assert len(files) == 4 and all(p.stat().st_mode & 0o77 == 0 for p in files)
    hosts.again()
    hosts.run()
    assert files == {p: p.stat().st_mtime_ns for p in (home(server) / "files").iterdir()}


def test_nothing_secret_stays_on_a_host(hosts):
    server, seen = hosts.serve("one"), []

    def look():
        for path in home(server).rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and path.stat().st_size < 100_000:
                    seen.append(b"PRIVATE KEY-----\n" in path.read_bytes())
        for pid in running(server, WORKER) + running(server, BLOCK):
            with contextlib.suppress(OSError):
                for file in ("cmdline", "environ"):
                    seen.append(b"PRIVATE KEY" in Path(f"/proc/{pid}/{file}").read_bytes())

    when(lambda: running(server, BLOCK), look)
    assert hosts.run() == 0
    look()
    assert len(seen) > 5 and not any(seen)
    assert not [p for p in home(server).rglob("*.log") if p.stat().st_mode & 0o77]


def test_a_host_that_lends_too_little_gets_no_block(hosts):
    hosts.serve("big")
    hosts.serve("small")
    hosts.servers.hosts["small"]["memory"] = "1MiB"
    assert hosts.run() == 0
    assert {host for _, _, host, _ in hosts.ledger} == {"big"}


def test_where_no_host_fits_nothing_begins(hosts):
    hosts.serve("one")
    hosts.servers.hosts["one"]["memory"] = "1MiB"
    with pytest.raises(UserError, match="no host fits"):
        hosts.run()


def test_a_host_begins_after_the_ledger_has_it(hosts):
    """At the moment that a block is launched, whoever is killed then leaves a trace of it."""
    server, seen = hosts.serve("one"), []

    def look():
        seen.extend((e.block, e.host) for e in Ledger(hosts.results.path).read()[0])

    when(lambda: blocks(server), look)
    assert hosts.run() == 0
    assert seen[0] == ("small/time/000", "one")


def test_a_failed_boot_is_a_row_and_no_failure_of_the_host(hosts):
    hosts.serve("one", play="panic")
    assert hosts.run() == 4
    assert hosts.counted() == 4
    assert {fate for *_, fate in hosts.ledger} == {Fate.DONE}


def test_a_killed_controller_finds_its_blocks_again(hosts):
    """Twice over: what the host knows the block by does not change with the attempts."""
    server = hosts.serve("one", play="hang")
    hosts.slow_down()
    for lines in (1, 3):
        with hosts.controller() as controller:
            (folder,) = (hosts.options.results / "pair").iterdir()
            until(lambda: len(Ledger(folder).read()[0]) >= lines)  # noqa: B023 it waits here
            controller.kill()
        until(lambda: not running(server, WORKER))
    assert len(blocks(server)) == 1
    hosts.results = Results(folder)
    assert hosts.run() == 4
    assert hosts.heard("taken up again on one, attempt 1"), hosts.said
    assert hosts.counted() == 4
    lost = [entry for entry in hosts.ledger if entry[3] == Fate.LOST]
    assert [("small/time/000", n, "one", Fate.LOST) for n in (1, 2)] == lost
    assert hosts.fates.count(Fate.DONE) == 2 and len(hosts.fates) == 4
    assert not (hosts.results.path / "aside").exists()
    assert gone(server) and not blocks(server)


def test_no_worker_outlives_a_killed_controller(hosts):
    server = hosts.serve("one", play="hang")
    with hosts.controller() as controller:
        controller.kill()
    until(lambda: not running(server, WORKER), 10)
    assert running(server, BLOCK)  # it is not Dask's
    kill(running(server, BLOCK))
    assert gone(server)


def test_ctrl_c_ends_the_controller_at_once_and_not_the_block(hosts):
    server = hosts.serve("one", play="hang")
    words = {"stderr": subprocess.PIPE, "preexec_fn": heed_ctrl_c}
    with hosts.controller(**words) as controller:
        start = time.monotonic()
        controller.send_signal(signal.SIGINT)
        said = controller.communicate()[1].decode()
    assert controller.returncode == 130 and time.monotonic() - start < 10
    assert "Traceback" not in said, said
    assert running(server, BLOCK) and not running(server, WORKER)
    kill(running(server, BLOCK))


def test_two_controllers_of_one_results_folder(hosts, capfd):
    server = hosts.serve("one", play="hang")
    with hosts.controller() as first:
        assert main(hosts.argv) == 2
        assert "another harness writes here" in capfd.readouterr().err
        first.kill()
    kill(running(server, BLOCK))


def test_two_controllers_with_the_same_experiment_have_blocks_of_their_own(hosts, tmp_path):
    """One host: a block of one of them waits for that of the other."""
    hosts.serve("one")
    words = [("--results", str(tmp_path / name)) for name in ("a", "b")]
    with hosts.controller(*words[0]) as a, hosts.controller(*words[1]) as b:
        assert [a.wait(60), b.wait(60)] == [0, 0]
    for name in ("a", "b"):
        (path,) = (tmp_path / name / "pair").iterdir()
        assert len(Results(path).read()[0]) == 4
        ended = [entry.fate for entry in Ledger(path).read()[0] if entry.fate]
        assert ended == [Fate.DONE] * 2


def test_one_block_at_a_time_has_a_host(hosts, tmp_path):
    server, most = hosts.serve("one", play="hang"), []
    words = [("--results", str(tmp_path / name)) for name in ("a", "b")]
    with hosts.controller(*words[0]) as a, hosts.controller(*words[1]) as b:
        end = time.monotonic() + 6
        while time.monotonic() < end:
            most.append(len(running(server, QEMU)))
        a.kill()
        b.kill()
    assert max(most) == 1
    kill(running(server, BLOCK) + running(server, SUPERVISOR))


def test_a_wait_for_the_block_of_somebody_else_is_no_part_of_the_deadline(hosts, monkeypatch):
    monkeypatch.setattr(loop, "_longest", lambda session, slot: 2.0)
    hosts.policy = replace(hosts.policy, margin_s=2)
    server = hosts.serve("one")
    lock = home(server) / os.uname().nodename / "block.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        threading.Timer(12, fcntl.flock, [file, fcntl.LOCK_UN]).start()
        assert hosts.run() == 0
    assert hosts.counted() == 4 and hosts.fates == [Fate.DONE] * 2


def test_a_host_that_fails_is_set_aside_and_the_others_do_its_work(hosts):
    hosts.serve("good")
    bad = hosts.serve("bad")
    (bad.home / ".cache").write_text("no folder can be made here")
    hosts.policy = replace(hosts.policy, failures=2, attempts=9)
    assert hosts.run() == 0
    assert hosts.counted() == 4
    assert {host for _, _, host, fate in hosts.ledger if fate == Fate.DONE} == {"good"}


def test_who_failed_a_block_is_asked_last(hosts):
    """The one that fails at once is free again at once; still the other one gets the block."""
    bad = hosts.serve("bad")
    (bad.home / ".cache/pageinit/hosts").mkdir(parents=True)
    (bad.home / f".cache/pageinit/hosts/{os.uname().nodename}").write_text("no folder here")
    hosts.serve("good")
    hosts.policy = replace(hosts.policy, failures=99, attempts=2)
    assert hosts.run() == 0
    assert hosts.counted() == 4 and hosts.fates.count(Fate.DONE) == 2
    assert all(attempt == 1 for _, attempt, host, _ in hosts.ledger if host == "bad")


def test_an_unknown_host_key_is_a_failure_with_a_name(hosts):
    server = hosts.serve("one")
    hosts.servers.known.unlink()
    with pytest.raises(HarnessError, match="could not be booted anywhere"):
        hosts.run()
    assert hosts.heard("one: is not known yet; it shows ssh-ed25519")
    assert hosts.counted() == 0 and not home(server).exists()


def test_what_is_missing_is_said_with_a_remedy(checkout, monkeypatch, capsys, tmp_path):
    words = ["run", "experiments/pair.yaml", "--dask", str(tmp_path / "none.json")]
    assert main(words) == 2
    assert "no such scheduler file" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(words) == 2
    assert "pip install pageinit[dask]" in capsys.readouterr().err
