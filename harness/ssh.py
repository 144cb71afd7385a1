# SPDX-License-Identifier: GPL-2.0-only
"""One connection to a host over SSH (paramiko): commands, and files by SFTP.

Nothing here can wait for ever: every step has a limit on the monotonic clock, at the end of which
the connection is closed under whoever waits. paramiko's own limits are on the wall clock, and
where a server accepts a request and never answers it has none. Nobody is asked for a password.

A command that outlives its limit is cut off, not killed: sshd lets it run on. What must not do
that brings its own deadline.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shlex
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import paramiko
from paramiko.ssh_exception import SSHException

from harness.breakage import named, quiet
from harness.command import CHUNK, MAX_ANSWER, ChannelVoice, Done, Limits, fit, talk
from harness.deadline import Deadline
from harness.errors import Failure, RemoteError, ResultsError
from harness.identity import log_in
from harness.inventory import Host, Inventory
from harness.results import disk_errors, private_file
from harness.trust import Trust

# Without a handler of its own paramiko's warnings, with tracebacks, go to standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False

KEEPALIVE_S = 15
TCP_USER_TIMEOUT_MS = 60_000
"""After this long without an acknowledgement the kernel gives a connection up."""
_BROKEN = {Failure.CLOSED, Failure.SILENT, Failure.UNREACHABLE, Failure.BAD_ANSWER}
"""What a connection that we closed ourselves looks like."""


class Connection:
    """A host that we are logged in to, through its jump hosts; a context manager."""

    def __init__(
        self, inventory: Inventory, name: str, trust: Trust, limits: Limits | None = None
    ) -> None:
        self._inventory = inventory
        self.name = name
        self._trust = trust
        self.limits = limits or Limits()
        self._links = contextlib.ExitStack()
        self._transport: paramiko.Transport | None = None

    def __enter__(self) -> Self:
        try:
            for name in self._inventory.route(self.name):
                self._transport = self._hop(name, self._inventory.hosts[name])
        except BaseException:
            self._links.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._links.close()

    @property
    def server(self) -> str:
        """What the server calls itself; its text, at most so much of it."""
        assert self._transport
        return str(self._transport.remote_version)[:100]

    @property
    def host_key(self) -> str:
        """Kind and fingerprint of the key that it showed."""
        assert self._transport
        key = self._transport.get_remote_server_key()
        return f"{key.get_name()} {key.fingerprint}"

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        limit_s: float | None = None,
        max_bytes: int = MAX_ANSWER,
    ) -> Done:
        """Runs a program there to its end.

        SSH knows only command lines, which the shell there reads: each argument is quoted, so that
        none of them is ever more than an argument. An answer of more than `max_bytes` is an error.
        """
        seconds = limit_s or self.limits.command_s
        with self._within(self.name, seconds, f"{argv[0]}: no end"), self._session() as channel:
            channel.exec_command(shlex.join(argv))
            return talk(channel, stdin, max_bytes, argv[0])

    @contextlib.contextmanager
    def converse(self, argv: Sequence[str]) -> Iterator[ChannelVoice]:
        """Runs a program there that we talk to while it runs; it is told to end at the end."""
        with self._within(self.name, self.limits.command_s, f"{argv[0]}: no start"):
            channel = self._transport.open_session() if self._transport else None
            assert channel
            channel.exec_command(shlex.join(argv))
        try:
            yield ChannelVoice(channel, self.name)
        finally:
            with quiet():
                channel.close()

    def listen(self, connect: Callable[[paramiko.Channel], None]) -> int:
        """A port of its loopback interface; whoever connects to that comes out at `connect`."""
        assert self._transport
        with self._within(self.name, self.limits.command_s, "no answer about a port"):
            try:
                return self._transport.request_port_forward(
                    "127.0.0.1", 0, lambda channel, origin, server: connect(channel)
                )
            except SSHException:
                if not self._transport.is_active():
                    raise
                raise RemoteError(
                    Failure.COMMAND,
                    "its SSH server forwards no port",
                    remedy="AllowTcpForwarding remote in its sshd_config, or --engine ssh",
                ) from None

    def put(self, local: Path, remote: str, *, limit_s: float, start: int = 0) -> str:
        """Copies a file there, private, and whole before it has its name; answers its sha256.

        With `start` the first bytes are there, in ``REMOTE.part``, from a copy that broke off.
        """
        part, digest = f"{remote}.part", hashlib.sha256()
        with self._sftp(limit_s) as sftp, local.open("rb") as source:
            digest.update(source.read(start))
            with sftp.open(part, "ab" if start else "wb") as target:
                sftp.chmod(part, 0o600)
                target.set_pipelined(True)
                while data := source.read(CHUNK):
                    digest.update(data)
                    target.write(data)
            if sftp.stat(part).st_size != local.stat().st_size:
                raise RemoteError(Failure.BAD_ANSWER, f"{remote}: cut short on the way there")
            sftp.posix_rename(part, remote)
        return digest.hexdigest()

    def get(self, remote: str, local: Path, *, max_bytes: int, limit_s: float) -> str:
        """Copies a file from there, at most so many bytes of it; answers its sha256.

        `local` must not be there yet, and is private.
        """
        part, digest, size = local.with_name(f"{local.name}.part"), hashlib.sha256(), 0
        if local.exists():
            raise ResultsError("is there already", where=str(local))
        try:
            with self._sftp(limit_s) as sftp, sftp.open(remote, "rb") as source:
                said = source.stat().st_size or 0
                fit(said, max_bytes, remote)
                source.prefetch(said)
                with disk_errors(local), private_file(part) as target:
                    while data := source.read(CHUNK):
                        size += len(data)
                        fit(size, max_bytes, remote)
                        digest.update(data)
                        target.write(data)
            part.rename(local)
        finally:
            part.unlink(missing_ok=True)
        return digest.hexdigest()

    def _hop(self, name: str, host: Host) -> paramiko.Transport:
        """Logs in to one host of the way, through the one before it."""
        limits = self.limits
        with named(name):
            link = self._through(host) if self._transport else self._dial(host)
            self._links.callback(link.close)
            with self._within(name, limits.banner_s, "no answer from an SSH server", link):
                transport = paramiko.Transport(link)
                self._links.callback(transport.close)
                # Ours come first: they alone tell a limit from a connection that broke off.
                transport.banner_timeout = 2 * limits.banner_s
                transport.auth_timeout = 2 * limits.login_s
                transport.channel_timeout = 2 * max(limits.connect_s, limits.command_s)
                _prefer(transport, self._trust.kinds(host.address, host.port))
                transport.start_client()
                self._trust.check(host.address, host.port, transport.get_remote_server_key())
            with self._within(name, limits.login_s, "no answer to the login", transport):
                log_in(transport, host)
            transport.set_keepalive(KEEPALIVE_S)
        return transport

    def _dial(self, host: Host) -> socket.socket:
        link = socket.create_connection((host.address, host.port), self.limits.connect_s)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
        # Small packets one after the other would each wait 40 ms for an acknowledgement.
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def _through(self, host: Host) -> paramiko.Channel:
        assert self._transport
        with self._within(self.name, self.limits.connect_s, "no answer through the jump host"):
            return self._transport.open_channel(
                "direct-tcpip", (host.address, host.port), ("127.0.0.1", 0)
            )

    @contextlib.contextmanager
    def _session(self) -> Iterator[paramiko.Channel]:
        assert self._transport
        channel = self._transport.open_session()
        with contextlib.closing(channel):
            yield channel

    @contextlib.contextmanager
    def _sftp(self, limit_s: float) -> Iterator[paramiko.SFTPClient]:
        with self._within(self.name, limit_s, "no end of a copy"), self._session() as channel:
            channel.invoke_subsystem("sftp")
            try:
                yield paramiko.SFTPClient(channel)
            except OSError as error:
                if channel.closed:
                    raise EOFError from error
                said = error.strerror or error
                raise RemoteError(Failure.COMMAND, f"a copy failed: {said}") from None

    @contextlib.contextmanager
    def _within(
        self,
        name: str,
        seconds: float,
        what: str,
        link: paramiko.Transport | paramiko.Channel | socket.socket | None = None,
    ) -> Iterator[None]:
        """A step that takes at most so long: then `link` is closed, and its errors mean that."""
        closed = link or self._transport
        assert closed
        deadline = Deadline.after(seconds)
        timer = threading.Timer(seconds, _shut, [closed])
        timer.daemon = True
        timer.start()
        try:
            with named(name):
                yield
        except RemoteError as error:
            if deadline.expired and error.failure in _BROKEN:
                raise RemoteError(
                    Failure.SILENT, f"{what} within {seconds:g} s", where=name
                ) from None
            raise
        finally:
            timer.cancel()


def _shut(link: paramiko.Transport | paramiko.Channel | socket.socket) -> None:
    if isinstance(link, socket.socket):
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)
    link.close()


def _prefer(transport: paramiko.Transport, known: Sequence[str]) -> None:
    """Asks for a key of a kind that is known; another kind would look like another host."""
    options = transport.get_security_options()
    wanted = {"rsa-sha2-512", "rsa-sha2-256"} if "ssh-rsa" in known else set()
    wanted |= set(known)
    offered = tuple(options.key_types)
    options.key_types = tuple(sorted(offered, key=lambda kind: kind not in wanted))
