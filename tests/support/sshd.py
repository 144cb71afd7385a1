# SPDX-License-Identifier: GPL-2.0-only
"""SSH servers of our own on loopback ports: the hosts of a lab, each in one folder."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import yaml

from tests.support.checkout import FAKES

BINARY = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 500
Subsystem sftp internal-sftp
SetEnv HOME={folder}/home PATH={path}
"""


def keygen(path: Path, *words: str) -> Path:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", *words, "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def children(pid: int) -> set[int]:
    """All processes below one."""
    found: set[int] = set()
    todo = [pid]
    while todo:
        here = todo.pop()
        for task in Path(f"/proc/{here}/task").glob("*/children"):
            try:
                below = [int(word) for word in task.read_text().split()]
            except OSError:
                continue
            found.update(below)
            todo += below
    return found


class Sshd:
    """One server; `config` are more lines of its configuration, `space` a network namespace.

    `fake` puts the fake QEMU before the real one.
    """

    def __init__(
        self, folder: Path, key: Path, config: str = "", space: str = "", fake: bool = True
    ) -> None:
        self.folder, self.port = folder, free_port()
        self.address = "10.213.77.2" if space else "127.0.0.1"
        self.enter = ["ip", "netns", "exec", space] if space else []
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        keygen(folder / "host_key")
        shutil.copy(key.with_suffix(".pub"), folder / "authorized_keys")
        path = f"{FAKES}:" * fake + "/usr/local/bin:/usr/bin:/bin"
        text = CONFIG.format(port=self.port, address=self.address, folder=folder, path=path)
        text += config
        (folder / "sshd_config").write_text(text)
        self.start()

    def start(self) -> None:
        if os.getuid() == 0:  # where its unprivileged part is locked up
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self.folder / "sshd.log").open("ab") as log:
            argv = [*self.enter, str(BINARY), "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self.process = subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            assert time.monotonic() < end and self.process.poll() is None, self.log
            with contextlib.suppress(OSError), self._connect() as link:
                if link.recv(4) == b"SSH-":
                    return
            time.sleep(0.02)

    def _connect(self) -> socket.socket:
        return socket.create_connection((self.address, self.port), 1)

    @property
    def log(self) -> str:
        return (self.folder / "sshd.log").read_text()

    @property
    def known(self) -> str:
        """Its line for a file of known hosts."""
        kind, key, *_ = (self.folder / "host_key.pub").read_text().split()
        return f"[{self.address}]:{self.port} {kind} {key}\n"

    def stop(self) -> None:
        """Ends it with its sessions: one whose link was cut would wait for ever."""
        # Stopped first, so that it begins no session that would outlive it with its port.
        self.process.send_signal(signal.SIGSTOP)
        for pid in (*children(self.process.pid), self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)


class Lab:
    """Some servers, a key that they let in, and the inventory of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = keygen(folder / "key")
        self.servers: dict[str, Sshd] = {}
        self.hosts: dict[str, dict[str, object]] = {}
        self.known = folder / "known_hosts"

    def serve(
        self,
        name: str,
        config: str = "",
        *,
        known: bool = True,
        space: str = "",
        fake: bool = True,
        **keys: object,
    ) -> Sshd:
        """Starts a server and takes it into the inventory."""
        server = self.servers[name] = Sshd(self.folder / name, self.key, config, space, fake)
        if known:
            self.know(server.known)
        self.host(name, server.port, **{"address": server.address, **keys})
        return server

    def know(self, line: str) -> None:
        with self.known.open("a") as file:
            file.write(line)

    def host(self, name: str, port: int, **keys: object) -> None:
        entry = {"address": "127.0.0.1", "port": port, "user": getpass.getuser()}
        entry |= {"key_file": str(self.key), "memory": "16MiB", "cores": 1}
        self.hosts[name] = {k: v for k, v in (entry | keys).items() if v is not None}

    @property
    def file(self) -> Path:
        """The inventory on disk."""
        path = self.folder / "hosts.yaml"
        path.write_text(yaml.safe_dump({"known_hosts": str(self.known), "hosts": self.hosts}))
        return path

    def stop(self) -> None:
        for server in self.servers.values():
            server.stop()
