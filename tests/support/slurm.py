# SPDX-License-Identifier: GPL-2.0-only
"""A Slurm of our own on loopback ports: one controller, some nodes, all in one folder."""

import contextlib
import getpass
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.sshd import free_port

SBIN = ":/usr/sbin:/usr/local/sbin"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
MISSING = [n for n in PROGRAMS if not shutil.which(n, path=os.environ["PATH"] + SBIN)]
START_S = 20
CONFIG = """\
ClusterName=pageinit
SlurmctldHost={machine}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
KillWait=2
MessageTimeout=5
PartitionName=lab Nodes=ALL Default=YES State=UP
"""
NODE = """\
NodeName={name} NodeHostname={machine} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory={mib}
"""


class UnableError(Exception):
    """Slurm does not come up here."""


class Slurm:
    """Its daemons, as whoever runs this; nodes have two CPUs and `mib` of memory, by their word."""

    def __init__(self, nodes: tuple[str, ...] = ("n1", "n2"), mib: int = 8192) -> None:
        self.nodes = nodes
        # Paths of sockets are short.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.config = self.folder / "slurm.conf"
        machine = platform.node().partition(".")[0]
        text = CONFIG.format(
            machine=machine, port=free_port(), user=getpass.getuser(), folder=self.folder
        )
        for name in nodes:
            text += NODE.format(name=name, machine=machine, port=free_port(), mib=mib)
            (self.folder / name).mkdir()
        self.config.write_text(text)
        (self.folder / "state").mkdir()
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def env(self) -> dict[str, str]:
        """In which its programs, and ours, find it."""
        path = os.environ["PATH"] + SBIN
        return {**os.environ, "PATH": path, "SLURM_CONF": str(self.config)}

    def start(self) -> None:
        """Returns when every node is idle. Raises `UnableError` if that does not come."""
        key = self.folder / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        files = [f"--{n}-file={self.folder / n}" for n in ("key", "seed", "pid", "log")]
        # Forced: the folder is a private one.
        socket = self.folder / "munge"
        self._daemon("munged", "--foreground", "--force", f"--socket={socket}", *files)
        self._until(socket.is_socket)
        self._controller()
        for name in self.nodes:
            self._daemon("slurmd", "-D", "-N", name)
        self._until(lambda: self.ask("sinfo", "-h", "-o", "%T %D") == f"idle {len(self.nodes)}")

    def _controller(self) -> None:
        self._daemon("slurmctld", "-D")

    def _daemon(self, *argv: str) -> None:
        """By its name: the last word of a node's is its own."""
        with (self.folder / "out").open("ab") as out:
            self.daemons[argv[-1] if argv[0] == "slurmd" else argv[0]] = subprocess.Popen(
                argv, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    @contextlib.contextmanager
    def without_controller(self) -> Iterator[None]:
        """Nobody answers meanwhile; jobs go on."""
        self.daemons["slurmctld"].terminate()
        self.daemons["slurmctld"].wait()
        yield
        self._controller()

    def _until(self, condition) -> None:
        end = time.monotonic() + START_S
        while not condition():
            if time.monotonic() > end or any(d.poll() is not None for d in self.daemons.values()):
                raise UnableError((self.folder / "out").read_text()[-2000:])
            time.sleep(0.05)

    def ask(self, *argv: str) -> str:
        """What a program of Slurm prints; nothing where it fails."""
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=30)
        return done.stdout.strip() if not done.returncode else ""

    def jobs(self, form: str = "%A") -> list[str]:
        """A line for each job that waits or runs."""
        return self.ask("squeue", "-h", "-S", "i", "-o", form).splitlines()

    def processes(self, of: str = "") -> set[int]:
        """All that runs under this Slurm, or those of them that have a word in their command."""
        found, mark = set(), f"SLURM_CONF={self.config}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = mark in (path / "environ").read_bytes().split(b"\0")
                words = (path / "cmdline").read_bytes().split(b"\0")
                if ours and (not of or of.encode() in words):
                    found.add(int(path.name))
        return found - {os.getpid()}

    def stop(self) -> None:
        """Ends it with all its jobs."""
        # Stopped first, so that nothing begins that would outlive it.
        for daemon in self.daemons.values():
            daemon.send_signal(signal.SIGSTOP)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for daemon in self.daemons.values():
            daemon.wait(10)
        shutil.rmtree(self.folder)


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def running(slurm):
    """Job by node."""
    lines = [line.split() for line in slurm.jobs("%A %T %N")]
    return {words[2]: words[0] for words in lines if words[1] == "RUNNING"}
