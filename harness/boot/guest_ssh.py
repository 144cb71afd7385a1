# SPDX-License-Identifier: GPL-2.0-only
"""Probes in a guest that is the image of a distribution: by SSH, over a port that QEMU forwards.

The guest is as hostile as any. Its first host key is recorded, and has to be the one that it shows
ever after; each step has a limit, and so has all that it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

from harness.boot.request import BootRequest
from harness.errors import Failure, RemoteError
from harness.files import disk_errors
from harness.guest import initramfs
from harness.model import Login, Probes
from harness.parse import INIT
from harness.qemu import ENTRY, MAX_BYTES, VM
from harness.ssh import Connection, Done, Endpoint, KnownHosts, SSHTimeouts, named
from harness.units import MIB

PROGRAM = "pageinit-probe"
"""What the probes are called in the home of the user there."""

MAX_ANSWER = 4 * MIB
"""What one probe may say: 4096 threads of `touch` report 2.6 MiB."""

STEPS = SSHTimeouts(connect_s=5, banner_s=5, login_s=10, command_s=20)
COPY_S = 60.0
"""Seconds for each step, as for hardware."""

PAUSE_S = 0.25
PATIENCE_S = 0.5
"""For the first banner; a packet that was lost while a network was set up comes again after 6 s,
when another connection would have been answered long since. Twice as much after each in vain."""

LOGIN_PAUSE_S = 5.0
"""Before the next try where a login was refused: newer servers shut out who tries too often."""

_NOT_YET = {Failure.UNREACHABLE, Failure.CLOSED, Failure.SILENT, Failure.LOGIN}
"""What a server that is about to start looks like; anything else is no matter of time."""

_CANNOT_RUN = (126, 127)
"""What a shell answers for a program that it cannot start."""


@dataclass(frozen=True)
class Address:
    """Where the guest is, and who comes in with which key; seconds are those of this host."""

    port: int
    user: str
    key: Path
    known: Path
    """where the host key that it shows first is recorded"""
    start: float
    """launch of QEMU, on the monotonic clock"""
    login_s: float
    """until the first login"""
    slowdown: float
    """of the accelerator: each step may take so much longer"""


class ProbeSession:
    """Logs in, copies the probes and runs them, in one thread; `stop` may come from another."""

    def __init__(
        self,
        address: Address,
        program: Path,
        probes: Probes,
        on_result: Callable[[bytes], None],
        on_sign: Callable[[], object],
    ) -> None:
        self._address = address
        self._program = program
        self._probes = probes
        self._on_result = on_result
        self._on_sign = on_sign
        self._over = threading.Event()
        self._limits = SSHTimeouts(*(seconds * address.slowdown for seconds in astuple(STEPS)))
        self.login: Login | None = None
        """the first login, once there was one"""
        self.last_error = ""
        """why the last try to log in failed"""

    def stop(self) -> None:
        """No further try; whoever waits for an answer waits until QEMU ends."""
        self._over.set()

    def run(self) -> None:
        """From the first try to the last result; raises `RemoteError` for all that goes wrong."""
        with contextlib.ExitStack() as stack:
            link = self._first_login(stack)
            link.put(self._program, PROGRAM, limit_s=COPY_S * self._address.slowdown)
            _must(link.run(["chmod", "700", PROGRAM]), "chmod")
        # Another connection: a server with another key would show here.
        with self._connect() as link:
            for name in ("hello", *self._probes.run):
                self._on_result(_lines(name, self._run(link, name)))
                self._on_sign()

    def _run(self, link: Connection, name: str) -> Done:
        size, threads = self._probes.touch_bytes, self._probes.touch_threads
        words = [f"./{PROGRAM}", "--here", name, "", str(size), str(threads)]
        # The boot's own deadline comes first.
        done = link.run(words, limit_s=3600, max_bytes=MAX_ANSWER)
        if done.status in _CANNOT_RUN:
            _must(done, words[0])
        return done

    def _first_login(self, stack: contextlib.ExitStack) -> Connection:
        """The first login, tried until it succeeds or its time is over; `stack` logs out."""
        end = time.monotonic() + self._address.login_s
        patience = PATIENCE_S
        while True:
            try:
                self._await_banner(patience)
                link = stack.enter_context(self._connect())
            except RemoteError as error:
                self.last_error = f"{error.failure}: {error.what}"
                if error.failure not in _NOT_YET or time.monotonic() > end or self._over.is_set():
                    raise
                if error.failure in (Failure.CLOSED, Failure.LOGIN):
                    self._on_sign()  # somebody there said no
                if error.failure is Failure.SILENT:
                    patience = min(2 * patience, self._limits.banner_s)
                refused = error.failure is Failure.LOGIN
                self._over.wait(LOGIN_PAUSE_S if refused else PAUSE_S)
                continue
            login_s = round(time.monotonic() - self._address.start, 3)
            self.login = Login(host_key=link.host_key, server=link.server, login_s=login_s)
            self._on_sign()
            return link

    def _await_banner(self, patience: float) -> None:
        """Raises `RemoteError` where no byte of a banner comes within so many seconds."""
        there = ("127.0.0.1", self._address.port)
        with named("guest"), socket.create_connection(there, patience) as link:
            if not link.recv(1):
                raise EOFError

    def _connect(self) -> Connection:
        there = self._address
        endpoint = Endpoint("guest", "127.0.0.1", there.port, there.user, str(there.key))
        known = KnownHosts([there.known], record=there.known)
        return Connection(endpoint, known, self._limits)


def _must(done: Done, what: str) -> None:
    if done.status:
        raise RemoteError(Failure.COMMAND, f"{what}: status {done.status}: {_said(done)}")


def _lines(name: str, done: Done) -> bytes:
    """What a probe reported, whole lines of it, and how it ended where that was not well."""
    lines = done.stdout
    if lines and not lines.endswith(b"\n"):
        lines += b"\n"
    if done.status > 1:
        # 1 is a probe that has reported its failure itself.
        failed = {"probe": name, "error": f"status {done.status}", "reason": _said(done)}
        lines += json.dumps(failed).encode() + b"\n"
    return lines


def _said(done: Done) -> str:
    return done.stderr[:200].decode("utf-8", "replace").strip()


KNOWN = "known_hosts"
"""In the folder of the run: the host key that the guest showed first."""

PROBES = "probes.jsonl"

KEY = "key"
"""In QEMU's working directory: what logs in to the guest. It is of this boot only."""


class GuestProbes:
    """Runs the probes in a guest over SSH, from the event loop of its boot.

    `on_news` is called at every sign of life. `failed` says why the probes ended before their time,
    and `login` how we got in, if we did.
    """

    def __init__(self, request: BootRequest, folder: Path, on_news: Callable[[], None]) -> None:
        self._request = request
        self._folder = folder
        self._on_news = on_news
        self._tail = b""
        self._user_space = asyncio.Event()
        self._session: ProbeSession | None = None
        self._size = 0
        self._stopped = False
        self.done = False
        self.failed = ""
        self.files = _files(request.initrd)
        self._write(b"")

    @property
    def login(self) -> Login | None:
        return self._session.login if self._session else None

    @property
    def waits(self) -> str:
        """What the probes wait for."""
        if self.login or self.failed:
            return self.failed
        if not self._session:
            return "user space has not begun"
        return f"no login yet: {self._session.last_error or 'no answer'}"

    def console(self, data: bytes) -> None:
        """No connection is tried, which takes CPU time, while the kernel is being measured."""
        if self._user_space.is_set():
            return
        self._tail = self._tail[-64:] + data
        if INIT.encode() in self._tail:
            self._user_space.set()

    async def run(self, vm: VM) -> None:
        """Until the last probe is done; what goes wrong is in `failed`."""
        await self._user_space.wait()
        if self._stopped:
            return
        port = await vm.forwarded_port()
        try:
            if not port:
                raise RemoteError(Failure.UNREACHABLE, "QEMU forwards no port to the guest")
            self._session = self._open_session(vm, port)
            await asyncio.to_thread(self._session.run)
            self._write(initramfs.DONE)
            self.done = True
        except RemoteError as error:
            self.failed = f"{error.failure}: {error.what}"

    def stop(self) -> None:
        """The boot is over, whether the probes are or not."""
        self._stopped = True
        self._user_space.set()
        if self._session:
            self._session.stop()

    def _open_session(self, vm: VM, port: int) -> ProbeSession:
        request, guest = self._request, self._request.guest
        assert guest
        address = Address(
            port,
            guest.distribution.user,
            vm.place / KEY,
            self._folder / KNOWN,
            vm.start,
            guest.distribution.login_s * request.slowdown,
            request.slowdown,
        )
        tell = partial(asyncio.get_running_loop().call_soon_threadsafe, self._on_news)
        return ProbeSession(address, guest.program.path, request.probes, self._write, tell)

    def _write(self, data: bytes) -> None:
        """In the thread of the session."""
        path = self._folder / PROBES
        kept = data[: MAX_BYTES - self._size]
        self._size += len(kept)
        with disk_errors(path), path.open("ab") as file:
            file.write(kept)


def _files(entry: Path) -> Mapping[str, bytes]:
    """What lies in QEMU's working directory: two keys, and what brings them into the guest."""
    from harness.ssh import generate_key

    private, public = generate_key()
    host_key, _ = generate_key()
    return {ENTRY: entry.read_bytes() + initramfs.keys(public, host_key), KEY: private}
