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
import select
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, TypeVar

import paramiko
from paramiko.ssh_exception import SSHException

from harness.errors import Failure, HarnessError, RemoteError, ResultsError, UserError
from harness.files import disk_errors, private_file
from harness.hosts import Host, Inventory
from harness.model import Model
from harness.ssh.hostkeys import Trust
from harness.ssh.login import log_in
from harness.text import clean, one_line
from harness.units import KIB, MIB, format_size


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
            return Failure.CLOSED, f"broke off: {error or 'end of the connection'}"


CHUNK = 32 * KIB
MAX_ANSWER = MIB
LAST_S = 2
"""For the last words of a program whose output has ended."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The last line that it printed to standard error."""
        said = self.stderr.decode("utf-8", "replace")
        return one_line(said.strip().rpartition("\n")[2], 300) or ""


@dataclass(frozen=True)
class SSHTimeouts:
    """Seconds for each step on the way in, and for a command that has none of its own."""

    connect_s: float = 10
    banner_s: float = 10
    login_s: float = 15
    command_s: float = 30


class Voice(Protocol):
    """A program that runs there and that we talk to; all raise `RemoteError`."""

    def say(self, data: bytes, limit_s: float) -> None:
        """Sends all of it."""

    def hear(self, limit_s: float) -> bytes | None:
        """What it says next: no bytes at its end, nothing at all where none came in time."""

    def end(self) -> Done:
        """How it ended, with nothing of its output; a status below zero where none came."""


class Link(Protocol):
    """A host that programs run on, and that files go to and come from; all raise `RemoteError`."""

    limits: SSHTimeouts

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        limit_s: float | None = None,
        max_bytes: int = MAX_ANSWER,
    ) -> Done:
        """Runs a program there to its end."""

    def converse(self, argv: Sequence[str]) -> AbstractContextManager[Voice]:
        """Runs a program there that we talk to while it runs."""

    def put(self, local: Path, remote: str, *, limit_s: float, start: int = 0) -> str:
        """Copies a file there, from a byte on; answers the sha256 of all of it."""

    def get(self, remote: str, local: Path, *, max_bytes: int, limit_s: float) -> str:
        """Copies a file from there; answers its sha256."""


@dataclass(frozen=True)
class ChannelVoice:
    """A program at the other end of a channel."""

    channel: paramiko.Channel
    host: str

    def say(self, data: bytes, limit_s: float) -> None:
        """Sends all of it."""
        with named(self.host):
            self.channel.settimeout(limit_s)
            self.channel.sendall(data)

    def hear(self, limit_s: float) -> bytes | None:
        """What it says next."""
        with named(self.host):
            self.channel.settimeout(limit_s)
            try:
                return self.channel.recv(CHUNK)
            except TimeoutError:
                return None

    def end(self) -> Done:
        """How it ended; that it has closed its output does not mean that it has."""
        said = b""
        with named(self.host), suppress(TimeoutError):
            self.channel.settimeout(LAST_S)
            said = self.channel.recv_stderr(CHUNK)
        self.channel.status_event.wait(LAST_S)
        return Done(self.channel.exit_status, b"", said)


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


Clock = Callable[[], float]


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock; wall-clock jumps do not move it."""

    at: float
    clock: Clock = field(default=time.monotonic, repr=False, compare=False)

    @classmethod
    def after(cls, seconds: float, clock: Clock = time.monotonic) -> Deadline:
        """The deadline `seconds` from now."""
        return cls(clock() + seconds, clock)

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - self.clock())

    @property
    def expired(self) -> bool:
        return self.clock() >= self.at

    def earlier(self, seconds: float) -> Deadline:
        """This deadline, or the one `seconds` from now if that comes first."""
        return Deadline(min(self.at, self.clock() + seconds), self.clock)


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
        self, inventory: Inventory, name: str, trust: Trust, limits: SSHTimeouts | None = None
    ) -> None:
        self._inventory = inventory
        self.name = name
        self._trust = trust
        self.limits = limits or SSHTimeouts()
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


M = TypeVar("M", bound=Model)


def line(value: object) -> object:
    """For a validator: a text as one line."""
    return one_line(value) or "" if isinstance(value, str) else value


def lines(value: object) -> object:
    """The same for a text of many lines."""
    return clean(value) if isinstance(value, str) else value


def understand(model: type[M], value: object, what: str) -> M:
    """The answer; raises `RemoteError` where it is none."""
    try:
        return model.parse(value, what)
    except UserError as error:
        first = one_line(error.what.partition("\n")[0], 200)
        raise RemoteError(Failure.BAD_ANSWER, f"its {what} is not one: {first}") from None
