# SPDX-License-Identifier: GPL-2.0-only
"""The SSH server of a guest, which plays a part: good, or hostile in one of several ways."""

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

import paramiko

HELLO = b'{"probe":"hello","release":"6.12","cpus":4}\n'
MEMINFO = b'{"probe":"meminfo","mem_total_bytes":1073741824}\n'
GARBAGE = (
    b"SSH-2.0-evil\r\n"
    + struct.pack(">IBB", 76, 4, 20)
    + bytes(16)
    + 9 * (struct.pack(">I", 2) + b"\xff\xfe")
    + bytes(4)
)
"""A KEXINIT (RFC 4253, section 7.1) whose lists of names are no text."""


class Files(paramiko.SFTPServerInterface):
    """One folder, whatever path is asked for."""

    def __init__(self, server, *words):
        super().__init__(server, *words)
        self.root = server.home

    def _at(self, path):
        return self.root / Path(path).name

    def open(self, path, flags, attributes):
        handle = paramiko.SFTPHandle(flags)
        handle.filename = str(self._at(path))
        handle.writefile = handle.readfile = self._at(path).open("wb")
        return handle

    def stat(self, path):
        return paramiko.SFTPAttributes.from_stat(self._at(path).stat())

    def chattr(self, path, attributes):
        return paramiko.SFTP_OK

    def posix_rename(self, old, new):
        self._at(old).rename(self._at(new))
        return paramiko.SFTP_OK


class Session(paramiko.ServerInterface):
    """One connection."""

    def __init__(self, server):
        self.server, self.home = server, server.home

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        self.server.logins.append(username)
        known = self.server.keys.read_text().split()[1]
        good = self.server.part != "refuse" and key.get_base64() == known
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, number):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        work = threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True)
        work.start()
        return True

    def _run(self, channel, command):
        self.server.commands.append(command)
        time.sleep(0.05)  # the request has to be answered before the channel is closed
        with contextlib.suppress(OSError, EOFError):
            self._answer(channel, command)

    def _answer(self, channel, command):
        part, status = self.server.part, 0
        if "hello" in command:
            channel.sendall(HELLO)
        if "meminfo" in command:
            if part == "flood":
                while True:
                    channel.sendall(b"x" * 30000)
            if part == "break":
                channel.sendall(b'{"probe":"done"}\n{"probe":"mem')
                self.server.drop()
                return
            if part == "lie":
                channel.sendall(b"[" * 5000 + b'\n{"probe": 7}\n\x1b[2J\n\xff\xfe\n')
            if part == "killed":
                channel.sendall_stderr(b"Segmentation \x1b[31mfault\n" * 1000)
                status = 139
            if part == "cannot":
                channel.sendall_stderr(b"./pageinit-probe: cannot execute binary file\n")
                status = 126
            if part in ("good", "rekey"):
                channel.sendall(MEMINFO)
        channel.send_exit_status(status)
        channel.close()


class GuestSshd:
    """A server on a loopback port.

    Its part: good, closed (hangs up on all), garbage, silent, drip, refuse (the key), rekey
    (another host key at the second connection), flood, break (in the middle of a probe), lie,
    killed, cannot.
    """

    def __init__(self, folder, part):
        self.part, self.home, self.keys = part, folder / "home", folder / "authorized_keys"
        self.home.mkdir()
        self.logins, self.commands, self._links = [], [], []
        self._over = threading.Event()
        self._host_keys = [paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()]
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def fingerprint(self):
        return self._host_keys[0].fingerprint

    def _serve(self):
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            if self.part == "closed":
                link.close()
            elif self.part == "garbage":
                link.sendall(GARBAGE)
                self._links.append(link)
            elif self.part in ("silent", "drip"):
                self._links.append(link)
                threading.Thread(target=self._drip, args=(link,), daemon=True).start()
            else:
                self._welcome(link)

    def _drip(self, link):
        with contextlib.suppress(OSError):
            while self.part == "drip" and not self._over.wait(0.05):
                link.send(b"x")

    def _welcome(self, link):
        transport = paramiko.Transport(link)
        second = self.part == "rekey" and bool(self.logins)
        self._links.append(transport)
        transport.add_server_key(self._host_keys[second])
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=Session(self))

    def drop(self):
        for link in self._links:
            link.close()

    def stop(self):
        self._over.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.drop()
