# SPDX-License-Identifier: GPL-2.0-only
"""One connection to a host over SSH (paramiko): commands, ports, and files by SFTP.

Nothing here can wait for ever: every step has a limit on the monotonic clock, at the end of which
the connection is closed under whoever waits. paramiko's own limits are on the wall clock, and
where a server accepts a request and never answers it has none. Nobody is asked for a password.

A command that outlives its limit is cut off, not killed: sshd lets it run on. What must not do
that brings its own deadline.
"""

from __future__ import annotations

import contextlib
import logging
import select
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import paramiko
from paramiko.ssh_exception import SSHException

from harness.errors import Failure, HarnessError, RemoteError
from harness.ssh.endpoint import Endpoint, SSHTimeouts
from harness.ssh.hostkeys import KnownHosts
from harness.ssh.login import log_in
from harness.text import one_line
from harness.units import KIB, MIB, format_size

# Without a handler of its own paramiko's warnings, with tracebacks, go to standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False

CHUNK = 32 * KIB
MAX_ANSWER = MIB
LAST_S = 2
"""For the last words of a program whose output has ended."""
KEEPALIVE_S = 15
TCP_USER_TIMEOUT_MS = 60_000
"""After this long without an acknowledgement the kernel gives a connection up."""
_BROKEN = {Failure.CLOSED, Failure.SILENT, Failure.UNREACHABLE, Failure.BAD_ANSWER}
"""What a connection that we closed ourselves looks like."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The last line that it printed to standard error."""
        said = self.stderr.decode("utf-8", "replace").strip()
        return one_line(said.rpartition("\n")[2], 300) or ""


@dataclass(frozen=True)
class Program:
    """A program at the other end of a channel, which we talk to while it runs."""

    channel: paramiko.Channel
    host: str

    def say(self, data: bytes, limit_s: float) -> None:
        """Sends all of it."""
        with named(self.host):
            self.channel.settimeout(limit_s)
            self.channel.sendall(data)

    def hear(self, limit_s: float) -> bytes | None:
        """What it says next: no bytes at its end, nothing at all where none came in time."""
        with named(self.host):
            self.channel.settimeout(limit_s)
            try:
                return self.channel.recv(CHUNK)
            except TimeoutError:
                return None

    def end(self) -> Done:
        """How it ended, with nothing of its output; a status below zero where none came.

        That it has closed its output does not mean that it has.
        """
        said = b""
        with named(self.host), contextlib.suppress(TimeoutError):
            self.channel.settimeout(LAST_S)
            said = self.channel.recv_stderr(CHUNK)
        self.channel.status_event.wait(LAST_S)
        return Done(self.channel.exit_status, b"", said)


class Connection:
    """A host that we are logged in to, through its jump hosts; a context manager."""

    def __init__(
        self, endpoint: Endpoint, known: KnownHosts, timeouts: SSHTimeouts | None = None
    ) -> None:
        self._endpoint = endpoint
        self.name = endpoint.name
        self._known = known
        self.timeouts = timeouts or SSHTimeouts()
        self._links = contextlib.ExitStack()
        self._transport: paramiko.Transport | None = None

    def __enter__(self) -> Self:
        try:
            for hop in self._endpoint.route:
                self._transport = self._hop(hop)
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
        seconds = limit_s or self.timeouts.command_s
        with self._within(self.name, seconds, f"{argv[0]}: no end"), self._session() as channel:
            channel.exec_command(shlex.join(argv))
            return talk(channel, stdin, max_bytes, argv[0])

    @contextlib.contextmanager
    def start(self, argv: Sequence[str]) -> Iterator[Program]:
        """Runs a program there that we talk to while it runs; it is told to end at the end."""
        with self._within(self.name, self.timeouts.command_s, f"{argv[0]}: no start"):
            channel = self._transport.open_session() if self._transport else None
            assert channel
            channel.exec_command(shlex.join(argv))
        try:
            yield Program(channel, self.name)
        finally:
            with quiet():
                channel.close()

    def publish(self, port: int) -> int:
        """A port of its loopback interface; whoever connects to that comes to a port of ours."""
        assert self._transport

        def connect(channel: paramiko.Channel, origin: object, server: object) -> None:
            try:
                _join(channel, socket.create_connection(("127.0.0.1", port), 10))
            except OSError:
                channel.close()

        with self._within(self.name, self.timeouts.command_s, "no answer about a port"):
            try:
                return self._transport.request_port_forward("127.0.0.1", 0, connect)
            except SSHException:
                if not self._transport.is_active():
                    raise
                raise RemoteError(
                    Failure.COMMAND,
                    "its SSH server forwards no port",
                    remedy="AllowTcpForwarding yes in its sshd_config",
                ) from None

    def forward(self, server: socket.socket, port: int) -> None:
        """Has whoever connects to a socket of ours come to a port of its loopback interface.

        Ends with the socket, or with the connection.
        """
        transport = self._transport
        assert transport
        server.settimeout(1)

        def accept() -> None:
            with quiet():
                while transport.is_active():
                    with contextlib.suppress(TimeoutError):
                        link, origin = server.accept()
                        there = ("127.0.0.1", port)
                        try:
                            _join(transport.open_channel("direct-tcpip", there, origin), link)
                        except SSHException:
                            link.close()

        threading.Thread(target=accept, daemon=True).start()

    def put(self, local: Path, remote: str, *, limit_s: float) -> None:
        """Copies a file there, private, and whole before it has its name."""
        part = f"{remote}.part"
        with self._sftp(limit_s) as sftp, local.open("rb") as source:
            with sftp.open(part, "wb") as target:
                sftp.chmod(part, 0o600)
                target.set_pipelined(True)
                while data := source.read(CHUNK):
                    target.write(data)
            if sftp.stat(part).st_size != local.stat().st_size:
                raise RemoteError(Failure.BAD_ANSWER, f"{remote}: cut short on the way there")
            sftp.posix_rename(part, remote)

    def _hop(self, hop: Endpoint) -> paramiko.Transport:
        """Logs in to one host of the way, through the one before it."""
        timeouts = self.timeouts
        with named(hop.name):
            link = self._through(hop) if self._transport else self._dial(hop)
            self._links.callback(link.close)
            with self._within(hop.name, timeouts.banner_s, "no answer from an SSH server", link):
                transport = paramiko.Transport(link)
                self._links.callback(transport.close)
                # Ours come first: they alone tell a limit from a connection that broke off.
                transport.banner_timeout = 2 * timeouts.banner_s
                transport.auth_timeout = 2 * timeouts.login_s
                transport.channel_timeout = 2 * max(timeouts.connect_s, timeouts.command_s)
                _prefer(transport, self._known.kinds(hop.address, hop.port))
                transport.start_client()
                self._known.check(hop.address, hop.port, transport.get_remote_server_key())
            with self._within(hop.name, timeouts.login_s, "no answer to the login", transport):
                log_in(transport, hop)
            transport.set_keepalive(KEEPALIVE_S)
        return transport

    def _dial(self, hop: Endpoint) -> socket.socket:
        link = socket.create_connection((hop.address, hop.port), self.timeouts.connect_s)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
        # Small packets one after the other would each wait 40 ms for an acknowledgement.
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def _through(self, hop: Endpoint) -> paramiko.Channel:
        assert self._transport
        with self._within(self.name, self.timeouts.connect_s, "no answer through the jump host"):
            return self._transport.open_channel(
                "direct-tcpip", (hop.address, hop.port), ("127.0.0.1", 0)
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
        end = time.monotonic() + seconds
        timer = threading.Timer(seconds, _shut, [closed])
        timer.daemon = True
        timer.start()
        try:
            with named(name):
                yield
        except RemoteError as error:
            if time.monotonic() >= end and error.failure in _BROKEN:
                raise RemoteError(
                    Failure.SILENT, f"{what} within {seconds:g} s", where=name
                ) from None
            raise
        finally:
            timer.cancel()


def _join(channel: paramiko.Channel, link: socket.socket) -> None:
    """Carries bytes both ways, until either of the two ends."""
    link.settimeout(None)

    def carry(take: Callable[[int], bytes], give: Callable[[bytes], object]) -> None:
        with quiet():
            while data := take(2 * CHUNK):
                give(data)
        with quiet():
            link.shutdown(socket.SHUT_RDWR)
        link.close()
        with quiet():
            channel.close()

    for ends in ((channel.recv, link.sendall), (link.recv, channel.sendall)):
        threading.Thread(target=carry, args=ends, daemon=True).start()


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


def talk(channel: paramiko.Channel, stdin: bytes, max_bytes: int, name: str) -> Done:
    """Sends and reads at the same time, so that neither side waits for the other."""
    out, err, sent = bytearray(), bytearray(), 0
    if not stdin:
        channel.shutdown_write()
    while True:
        if sent < len(stdin) and channel.send_ready():
            sent = _send(channel, stdin, sent)
        select.select([channel], [], [], 0.01 if sent < len(stdin) else 0.5)
        ended = channel.exit_status_ready() or channel.closed
        while channel.recv_ready():
            out += channel.recv(CHUNK)
            fit(len(out), max_bytes, f"{name}: its answer")
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(CHUNK)
            fit(len(err), max_bytes, f"{name}: its complaint")
        if ended and (channel.closed or channel.eof_received):
            break
    if (status := channel.recv_exit_status()) < 0:  # none came
        raise RemoteError(Failure.CLOSED, f"{name}: a signal or the connection ended it")
    return Done(status, bytes(out), bytes(err))


def _send(channel: paramiko.Channel, stdin: bytes, sent: int) -> int:
    """The next part of the input; answers how much is done with. It ends with a command that does
    not read it: that is no fault of the connection."""
    try:
        sent += channel.send(stdin[sent : sent + CHUNK])
    except OSError:
        if not channel.closed:
            raise
        return len(stdin)
    if sent == len(stdin):
        channel.shutdown_write()
    return sent


def fit(size: int, most: int, what: str) -> None:
    if size > most:
        raise RemoteError(Failure.TOO_LARGE, f"{what} has more than {format_size(most)}")


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Turns the many errors of sockets and of paramiko into one kind, with the host's name.

    paramiko hands on whatever its parsers raise at bytes that are no SSH, of any type.
    """
    try:
        yield
    except HarnessError as error:
        if isinstance(error, RemoteError):
            error.where = error.where or name
        raise
    except (OSError, SSHException, EOFError) as error:
        failure, what = _meaning(error)
        raise RemoteError(failure, what, where=name) from None
    except Exception as error:
        what = f"what it speaks is no SSH: {str(error)[:200]}"
        raise RemoteError(Failure.BAD_ANSWER, what, where=name) from None


def quiet() -> contextlib.suppress:
    """For the end of a connection that may have broken already."""
    return contextlib.suppress(OSError, EOFError, SSHException)


def _meaning(error: Exception) -> tuple[Failure, str]:
    match error:
        case socket.gaierror():
            return Failure.NO_SUCH_NAME, f"no such address: {error.strerror}"
        case TimeoutError():
            return Failure.SILENT, "no answer"
        case ConnectionResetError():
            return Failure.CLOSED, "closed the connection"
        case paramiko.ChannelException():
            return Failure.UNREACHABLE, f"the host before it refuses: {error.text}"
        case OSError():
            return Failure.UNREACHABLE, str(error.strerror or error)
        case _:
            return Failure.CLOSED, f"broke off: {str(error) or 'end of the connection'}"
