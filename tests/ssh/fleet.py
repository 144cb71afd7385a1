# SPDX-License-Identifier: GPL-2.0-only
"""A fleet of hosts that boot with the fake QEMU, and ways to look at and to hurt them."""

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from harness.hosts.inventory import Inventory
from harness.hosts.remote import Remote
from harness.hosts.roster import Patience
from harness.results.ledger import Ledger
from harness.run import loop
from harness.ssh.connection import SSHTimeouts
from harness.ssh.hostkeys import Trust
from tests.support.checkout import ROOT


class Fleet:
    """A lab whose hosts run workers with our interpreter and the fake QEMU."""

    def __init__(self, lab, session, checkout):
        self.lab, self.session = lab, session
        self.options = loop.RunOptions(checkout / "results")
        self.results = loop.open_results(session, self.options)
        self.said = []
        self.patience = Patience(poll_s=0.2, margin_s=20)
        self.limits = SSHTimeouts(connect_s=3, banner_s=3, login_s=5, command_s=20)
        self.engine = Remote

    def serve(self, name, play="ok", **keys):
        """A host on which the fake QEMU plays a part."""
        golden = ROOT / "tests/golden/console/grow-1t.log"
        server = self.lab.serve(
            name, memory="64GiB", config="", **{"python": sys.executable} | keys
        )
        config = server.folder / "sshd_config"
        text = config.read_text().replace(
            "SetEnv ", f"SetEnv FAKE_QEMU={play} FAKE_CONSOLE={golden} ", 1
        )
        config.write_text(text)
        server.stop()
        server.start()
        return server

    def use_dask(self):
        """Lets the other engine give the hosts their blocks."""
        from harness.hosts.lab import Lab

        self.engine = Lab

    @property
    def words(self):
        """The same on the command line."""
        engine = "ssh" if self.engine is Remote else "dask"
        return ["run", "experiments/pair.yaml", "--hosts", str(self.lab.file), "--engine", engine]

    def run(self):
        inventory = Inventory.load(self.lab.file)
        executor = self.engine(
            inventory,
            Trust([self.lab.known]),
            self.said.append,
            self.patience,
            self.limits,
        )
        try:
            return loop.run(self.session, self.results, self.options, lambda event: None, executor)
        finally:
            print(*self.said, sep="\n")

    def again(self):
        """The next run goes into another results folder, as if nothing had been booted yet."""
        self.results = replace(self.results, path=self.results.path.with_name("again"))

    @property
    def ledger(self):
        entries, damage = Ledger(self.results.path).read()
        assert not damage
        return [(e.block, e.attempt, e.host, e.fate) for e in entries if e.fate]

    def counted(self):
        stored, damage = self.results.read()
        assert not damage
        ids = [s.run.run_id for s in stored]
        assert len(ids) == len(set(ids))
        return len(ids)


def fleet_folder(server):
    """Where the harness has its things on a host."""
    return server.home / ".cache/pageinit/fleet"


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
