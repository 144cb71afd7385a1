# SPDX-License-Identifier: GPL-2.0-only
"""QEMU as a context manager: it never outlives the block, nor the harness, nor a kill -9 of it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import logging
import os
import re
import resource
import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qemu.qmp import EventListener, QMPClient, QMPError

from harness import process
from harness.files import WorkDir, disk_errors, write_atomic
from harness.model import HostSample
from harness.parse import Chunk
from harness.qemu.command import CONSOLE, MONITOR, PROBES
from harness.results import IDLE, PROFILE, STORES

MAX_BYTES = 64 << 20
"""A guest that floods its console fills neither disk nor memory."""

MAX_CHUNKS = 1 << 20

PIPE_BYTES = 1 << 20
"""How far the reader may lag before the guest can notice: what an ordinary user may ask for."""

Arrival = Callable[[bytes, float], None]


class SerialPort(asyncio.Protocol):
    """Reads one serial port of QEMU from a FIFO and writes what comes to a file.

    Chunks carry seconds since `start` on the monotonic clock. `on_data` gets each chunk with the
    monotonic time of its arrival. Raises `HostError` from `close` when the disk was full.
    """

    def __init__(self, path: Path, start: float, on_data: Arrival) -> None:
        self._path = path
        self._start = start
        self._on_data = on_data
        with disk_errors(path):
            self._file = path.open("wb")
        self._size = 0
        self._error: OSError | None = None
        self._transport: asyncio.BaseTransport | None = None
        self._pipe = -1
        self.chunks: list[Chunk] = []

    async def listen(self, fifo: Path) -> None:
        """Makes the FIFO and starts to read; QEMU opens it while it builds the machine."""
        os.mkfifo(fifo, 0o600)
        # Open for writing too, or the FIFO would be at its end until QEMU comes.
        self._pipe = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        pipe = os.fdopen(self._pipe, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: self, pipe)

    def data_received(self, data: bytes) -> None:
        """Stamps, keeps and passes on what came."""
        now = time.monotonic()
        kept = data[: MAX_BYTES - self._size]
        if kept and self._error is None:
            try:
                self._file.write(kept)
                self._file.flush()
            except OSError as error:
                self._error = error
            if len(self.chunks) < MAX_CHUNKS:
                self.chunks.append(Chunk(self._size, len(kept), round(now - self._start, 6)))
            self._size += len(kept)
        self._on_data(data, now)

    def close(self) -> None:
        """Ends the file when QEMU has ended; what a full disk refused is an error now."""
        if self._transport:
            with contextlib.suppress(BlockingIOError):
                while True:  # what QEMU wrote last
                    self.data_received(os.read(self._pipe, PIPE_BYTES))
            self._transport.close()
        with disk_errors(self._path):
            self._file.close()
            if self._error:
                raise self._error


_PR_SET_THP_DISABLE = 41
"""include/uapi/linux/prctl.h"""

SOFT_STOP_S = 2.0
MONITOR_S = 2.0
STDERR = "qemu.stderr"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# A QEMU that dies while we talk to it is an outcome, not news for the terminal.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL + 1)
_libc = ctypes.CDLL(None, use_errno=True)


class VM:
    """One QEMU process with its console, its results port and its monitor.

    `on_console` and `on_probes` get bytes with the monotonic time of their arrival; without the
    latter there is no results port. In the block, `ended` is set when the process is gone; `events`
    are those of QMP, in order. `files` are put, private, into its working directory, `place`. No
    file of QEMU grows beyond `room` bytes, if that is given: its guest sees a disk with an error.
    The console takes input where it is `typed`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        *,
        thp: bool,
        on_console: Arrival,
        on_probes: Arrival | None,
        files: Mapping[str, bytes] | None = None,
        room: int | None = None,
        typed: bool = False,
    ) -> None:
        self._argv = list(argv)
        self._folder = folder
        self._thp = thp
        self._arrivals = {CONSOLE: on_console} | ({PROBES: on_probes} if on_probes else {})
        self._given = files or {}
        self._room = room
        self._typed = typed
        self._input = -1
        self._files = {CONSOLE: "console.log", PROBES: "probes.jsonl"}
        self._qmp = QMPClient("pageinit")
        self._listener = EventListener()
        self._qmp.register_listener(self._listener)
        self._ports: dict[str, SerialPort] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._work: WorkDir | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.start = 0.0
        self.ended = asyncio.Event()
        self.events: list[tuple[str, dict[str, Any]]] = []

    async def __aenter__(self) -> Self:
        # In /tmp: a UNIX socket's name has 108 bytes, too few for the folder of a run.
        self._work = WorkDir()
        try:
            await self._launch(self._work)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _launch(self, work: WorkDir) -> None:
        for name, data in self._given.items():
            work.write(name, data)
        self.start = time.monotonic()
        for name, arrival in self._arrivals.items():
            port = SerialPort(self._folder / self._files[name], self.start, arrival)
            self._ports[name] = port
            # A chardev of type pipe has two FIFOs (chardev/char-pipe.c).
            typed = self._typed and name == CONSOLE
            await port.listen(work.path / (f"{name}.out" if typed else name))
        if self._typed:
            os.mkfifo(fifo := work.path / f"{CONSOLE}.in", 0o600)
            self._input = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        await self._qmp.start_server(str(work.path / MONITOR))
        bind = process.bound(signal.SIGKILL)
        with disk_errors(self._folder / STDERR):
            said = (self._folder / STDERR).open("wb")
        with said:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    cwd=work.path,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    # Ctrl-C goes to us, and we stop QEMU in order.
                    start_new_session=True,
                    preexec_fn=lambda: prepare_child(bind, self._thp, self._room),
                )
            except FileNotFoundError as error:
                if error.filename != self._argv[0]:
                    raise
                raise process.missing(self._argv[0]) from None
        self._tasks.append(asyncio.create_task(self._reap(self._process)))
        self._tasks.append(asyncio.create_task(self._monitor()))

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        # What is still in the pipes of a dead process is read before anybody is told.
        await asyncio.sleep(0.05)
        self.ended.set()

    async def _monitor(self) -> None:
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._qmp.accept()
            async for event in self._listener:
                data = event.get("data")
                details = data if isinstance(data, dict) else {}
                self.events.append((str(event["event"]), details))

    @property
    def place(self) -> Path:
        """QEMU's working directory, which nobody else may read and which ends with it."""
        assert self._work
        return self._work.path

    @property
    def exit_code(self) -> int | None:
        """The exit status, or minus the signal; none while it runs."""
        return self._process.returncode if self._process else None

    @property
    def killed_by(self) -> str | None:
        """The signal that ended QEMU, unless we sent it."""
        code = self.exit_code
        if code is None or code >= 0 or self._stopping:
            return None
        return signal.Signals(-code).name

    @property
    def chunks(self) -> tuple[Any, ...]:
        """The arrival of each piece of the console."""
        return tuple(self._ports[CONSOLE].chunks) if CONSOLE in self._ports else ()

    @property
    def complaint(self) -> str:
        """What QEMU printed to stderr, its end."""
        try:
            return (self._folder / STDERR).read_bytes()[-2000:].decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def sample(self) -> HostSample | None:
        """RSS, faults and CPU seconds of the process now (proc(5)); none when it is gone."""
        if self._process is None:
            return None
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        except OSError:
            return None
        # The name in parentheses may hold anything; fields count from 3 behind it.
        fields = text.rpartition(")")[2].split()
        resident = int(fields[21]) * _PAGE
        if not resident:  # in the middle of exec, or a zombie
            return None
        return HostSample(
            host_s=round(time.monotonic() - self.start, 3),
            rss_bytes=resident,
            minor_faults=int(fields[7]),
            major_faults=int(fields[9]),
            user_s=int(fields[11]) / _TICKS,
            system_s=int(fields[12]) / _TICKS,
        )

    def type(self, data: bytes) -> None:
        """Types at the console; a guest that reads nothing loses what is more than a pipe holds."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._input, data)

    async def registers(self) -> str:
        """The registers of every vCPU as the monitor shows them; empty when it does not answer."""
        return await self._ask("info registers -a")

    async def forwarded_port(self) -> int | None:
        """The port of this host behind which the guest's SSH server is; none where none is told."""
        shown = await self._ask("info usernet")
        match = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d{1,5})\s", shown)
        return int(match[1]) if match else None

    async def _ask(self, question: str) -> str:
        """What the monitor for people answers; empty when it does not."""
        try:
            async with asyncio.timeout(MONITOR_S):
                asked = {"command-line": question}
                answer = await self._qmp.execute("human-monitor-command", asked)
        except (QMPError, TimeoutError, OSError, EOFError):
            return ""
        return str(answer)

    async def _stop(self) -> None:
        """Soft stop, then hard stop; cleans up whatever happened before."""
        self._stopping = self.exit_code is None
        process = self._process
        if process and process.returncode is None:
            with contextlib.suppress(QMPError, TimeoutError, OSError, EOFError, RuntimeError):
                async with asyncio.timeout(SOFT_STOP_S):
                    await self._qmp.execute("quit")
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    async with asyncio.timeout(SOFT_STOP_S):
                        await self.ended.wait()
                    break
                except TimeoutError:
                    with contextlib.suppress(ProcessLookupError):
                        process.send_signal(number)
            await process.wait()
        await self._close()

    async def _close(self) -> None:
        with contextlib.suppress(QMPError, OSError, EOFError):
            async with asyncio.timeout(SOFT_STOP_S):
                await self._qmp.disconnect()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._work:
            for name in (STORES, IDLE, PROFILE):
                if (counted := self._work.path / name).is_file():
                    write_atomic(self._folder / name, counted.read_bytes())
            self._work.remove()
        if self._input >= 0:
            os.close(self._input)
        for port in self._ports.values():
            port.close()


def script(argv: Sequence[str]) -> str:
    """``qemu.sh``: the same boot by hand, with the console on the terminal."""
    return "#!/bin/sh\nexec " + " \\\n  ".join(shlex.quote(word) for word in argv) + "\n"


def prepare_child(bind: Callable[[], None], thp: bool, room: int | None = None) -> None:
    """Runs in the child before QEMU: it dies with us, and uses huge pages only if told.

    Where the host runs out of memory it is the guest that has to go, and nobody else.
    """
    bind()
    if room is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")
    if not thp:
        # One touched struct page would materialise 2 MiB of host memory.
        _libc.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
