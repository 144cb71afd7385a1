# SPDX-License-Identifier: GPL-2.0-only
"""Hosts that boot with the fake QEMU, and ways to look at and to hurt them."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from harness.hosts.executor import Hosts, RetryPolicy
from harness.hosts.inventory import Inventory
from harness.results.ledger import Ledger
from harness.run import loop
from harness.run.session import prepare
from harness.ssh import KnownHosts, SSHTimeouts
from tests.support.checkout import FAKES, ROOT
from tests.support.messages import collected

BLOCK, SUPERVISOR, WORKER = (f"harness.hosts.{name}" for name in ("block", "supervisor", "worker"))
QEMU = str(FAKES / "qemu-system-x86_64")
OURS = (BLOCK, SUPERVISOR, WORKER, QEMU)


class Lab:
    """An experiment of two blocks of two boots, and hosts with our interpreter."""

    def __init__(self, servers, session, checkout):
        self.servers, self.session = servers, session
        self.options = loop.RunOptions(checkout / "results")
        self.results = loop.open_results(session, self.options)
        self.said = []
        self.policy = RetryPolicy(margin_s=20)
        self.timeouts = SSHTimeouts(connect_s=3, banner_s=3, login_s=5, command_s=20)
        self.words = {}

    def serve(self, name, play="ok", **keys):
        """A host on which the fake QEMU plays a part."""
        golden = ROOT / "tests/golden/console/grow-1t.log"
        server = self.servers.serve(
            name, memory="64GiB", config="", **{"python": sys.executable} | keys
        )
        self.configure(server, "SetEnv ", f"SetEnv FAKE_QEMU={play} FAKE_CONSOLE={golden} ")
        return server

    def slow_down(self):
        """Has a silent boot last for longer."""
        path = Path("experiments/pair.yaml")
        limits = "silence_s: 1, progress_s: 1.5", "silence_s: 2.5, progress_s: 3"
        path.write_text(path.read_text().replace(*limits))
        project = self.session.project
        self.session = prepare(project, project.experiment(path))

    @staticmethod
    def configure(server, old, new):
        """Starts it again with another configuration."""
        config = server.folder / "sshd_config"
        config.write_text(config.read_text().replace(old, new, 1))
        server.stop()
        server.start()

    @property
    def argv(self):
        """The same on the command line."""
        return ["run", "experiments/pair.yaml", "--hosts", str(self.servers.file)]

    @contextlib.contextmanager
    def controller(self, *more, **words):
        """The same in a process of its own, once it has a block on a host."""
        argv = [sys.executable, "-m", "harness", *self.argv, *more]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = {"stderr": subprocess.DEVNULL} | words
        with subprocess.Popen(argv, env=env, **words) as controller:
            servers = self.servers.servers.values()
            until(lambda: any(running(server, BLOCK) for server in servers))
            assert controller.poll() is None
            yield controller

    def run(self):
        from harness.hosts.cluster import SSHHosts

        inventory, known = Inventory.load(self.servers.file), KnownHosts([self.servers.known])
        source = SSHHosts(inventory, known, self.timeouts, pause_s=0.2)
        executor = Hosts(source, self.policy, **self.words)
        with collected(self.said):
            return loop.run(self.session, self.results, self.options, lambda event: None, executor)

    def again(self):
        """The next run goes into another results folder, as if nothing had been booted yet."""
        self.results = replace(self.results, path=self.results.path.with_name("again"))

    def heard(self, words):
        return any(words in text for text in self.said)

    @property
    def ledger(self):
        entries, damage = Ledger(self.results.path).read()
        assert not damage
        return [(e.block, e.attempt, e.host, e.fate) for e in entries if e.fate]

    @property
    def fates(self):
        return [fate for *_, fate in self.ledger]

    def counted(self):
        stored, damage = self.results.read()
        assert not damage
        ids = [s.run.run_id for s in stored]
        assert len(ids) == len(set(ids))
        return len(ids)


def home(server):
    """Where the harness has its things on a host."""
    return server.home / ".cache/pageinit/hosts"


def blocks(server):
    """The folders of blocks on a host."""
    return list(home(server).glob("*/blocks/*"))


def booting(server):
    """Whether a boot of a block has begun there."""
    return any(home(server).glob("*/blocks/*/results/runs/*/*/*/*"))


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def when(condition, act):
    """Does something as soon as a condition holds, in a thread."""

    def wait():
        end = time.monotonic() + 60
        while not condition():
            if time.monotonic() > end:
                return
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def running(server, of):
    """Processes of a host whose command line has a word in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            home = f"HOME={server.home}".encode() in (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if home and of.encode() in words:
            found.append(int(path.name))
    return found


def gone(server):
    """Whether nothing of ours is left on a host, or soon will be."""
    end = time.monotonic() + 10
    while found := [pid for word in OURS for pid in running(server, word)]:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return not found


def kill(pids, how=signal.SIGKILL):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
    return list(pids)
