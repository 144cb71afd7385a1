# SPDX-License-Identifier: GPL-2.0-only
"""One boot from the launch of QEMU to its end, and the raw evidence of it. Judges nothing."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness import host
from harness.boot.request import BootRequest
from harness.boot.watch import Watch
from harness.files import write_atomic
from harness.guest import DONE, disk
from harness.host import CpuTime, neighbours
from harness.kernel import resolve
from harness.model import Ending, HostSample, Login, Neighbours
from harness.parse import Chunk
from harness.qemu import VM, command, footprint, plugin, script
from harness.units import format_size

if TYPE_CHECKING:
    from harness.boot.guest_ssh import GuestProbes
    from harness.boot.interact import Terminal

SAMPLE_S = 0.05
MAX_SAMPLES = 256
STARVED = 10
"""Major page faults a second from which on QEMU is short of memory: 25 to 370 in a memory cgroup
that is too small, in a boot that has enough none once its program has been read."""

UNWATCHED_S = 2.0
"""For which the harness may not get a CPU in a boot whose times count."""

Output = Callable[[bytes], None]


@dataclass(frozen=True)
class Evidence:
    """What a boot left beside the files in its folder."""

    ending: Ending
    samples: tuple[HostSample, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    argv: tuple[str, ...] = ()
    command_line: str = ""
    neighbours: Neighbours | None = None
    login: Login | None = None
    first_result_s: float | None = None
    """when user space said its first word on the results port, s since the launch"""


def starved(samples: Sequence[HostSample]) -> str:
    """Whether the host took back from QEMU what it needs, over the second half of its samples."""
    late = [sample for sample in samples if sample.host_s >= samples[-1].host_s / 2]
    if len(late) < 2 or late[-1].host_s == late[0].host_s:
        return ""
    faults = late[-1].major_faults - late[0].major_faults
    rate = faults / (late[-1].host_s - late[0].host_s)
    size = format_size(late[-1].rss_bytes)
    said = f"QEMU is short of the host's memory: at {size} it reads {rate:.0f} pages a second again"
    return said if rate >= STARVED else ""


def boot(request: BootRequest, folder: Path, on_output: Output | None = None) -> Evidence:
    """`launch` for those who do nothing else meanwhile."""
    return asyncio.run(launch(request, folder, on_output))


async def launch(request: BootRequest, folder: Path, on_output: Output | None = None) -> Evidence:
    """Boots once and writes console.log, probes.jsonl, qemu.sh and qemu.stderr into `folder`.

    `on_output` gets the console while it comes. A request whose console is typed at has our
    terminal there, until the person leaves or the guest ends; raises `KeyboardInterrupt` where the
    person leaves before the probes are done. A boot that fails is no error: `Evidence.ending`
    says how. Raises `HostError` where QEMU is missing or the disk is full.
    """
    binary = host.find_qemu(request.machine.architecture)
    if request.idle and not host.has_plugins(binary):
        request = replace(request, idle=None)
    argv = command.render(request.command(binary))
    write_atomic(folder / "qemu.sh", script(command.render(request.command(binary, sockets=False))))
    if refused := _refusal(request, binary):
        ending = Ending(cause="start-refused", detail=refused)
        return Evidence(ending, argv=tuple(argv), command_line=request.command(binary).append)
    return await _Boot(request, folder, argv, on_output).run()


def _refusal(request: BootRequest, binary: command.Qemu) -> str | None:
    """Why this boot is not even tried; none where it is."""
    if not request.force and (obstacle := request.obstacle):
        return f"{obstacle}; --force boots it all the same"
    if uncounted := _uncounted(request, binary):
        return uncounted
    if request.guest and disk.changed(request.guest.image):
        return f"{request.guest.image.path} has changed since its hash was taken"
    need = footprint.footprint(request.machine, request.memory_model, request.taken)
    return None if request.force else host.refusal(need, host.available_memory())


def _uncounted(request: BootRequest, binary: command.Qemu) -> str | None:
    """Why a plugin cannot count what is asked for; none where it can, or nothing is."""
    if not request.plugin and not request.profile:
        return None
    if not host.has_plugins(binary):
        what = "count stores" if request.plugin else "profile"
        return f"this QEMU was built without plugins, so that it cannot {what}"
    obstacle = request.plugin and plugin.obstacle(request.machine, request.symbols)
    return obstacle or (request.unprofiled if request.profile else None)


class _Boot:
    """The state of one boot while it lasts."""

    def __init__(
        self, request: BootRequest, folder: Path, argv: list[str], on_output: Output | None
    ) -> None:
        self._request = request
        self._on_output = on_output
        self._argv = argv
        self._news = asyncio.Event()
        self._tail = b""
        self._done = False
        self._first_result: float | None = None
        self._samples: list[HostSample] = []
        self._unwatched_s, self._due = 0.0, math.inf
        self._oom_kills = host.oom_kills()
        self._before = CpuTime.now()
        self._watch: Watch | None = None
        self._guest = self._guest_probes(folder) if request.guest else None
        self._terminal = _terminal() if request.typed else None
        self._vm = VM(
            argv,
            folder,
            thp=request.machine.thp,
            on_console=self._console,
            on_probes=None if self._guest else self._probes,
            files=self._guest.files if self._guest else None,
            room=self._room(),
            typed=request.typed,
        )
        if self._terminal:
            self._terminal.on_type, self._terminal.on_leave = self._vm.type, self._news.set

    def _room(self) -> int | None:
        """Bytes that a file of QEMU may have, where the guest can write to one."""
        guest, backend = self._request.guest, self._request.machine.memory_backend
        # Memory of the guest in a memfd is a file too.
        return guest.distribution.room if guest and backend.type == "ram" else None

    async def run(self) -> Evidence:
        request, probes = self._request, self._guest
        probing = None
        async with self._vm as vm, self._terminal or contextlib.nullcontext():
            self._watch = Watch(request.scaled, request.deadline_s, vm.start)
            sampler = asyncio.create_task(self._sample())
            if probes:
                probing = asyncio.create_task(self._probe(probes))
            try:
                cause = await self._wait()
            finally:
                sampler.cancel()
                self._note_gap()
                if probes:
                    probes.stop()
            ending = await self._ending(cause)
            if self._unwatched_s > UNWATCHED_S:
                gap = {"unwatched_s": round(self._unwatched_s, 3)}
                ending = ending.model_copy(update=gap)
            self._take_sample()
            beside = neighbours(self._before, self._samples)
        if probing:
            # Its connections are gone with QEMU.
            await probing
        return Evidence(
            ending,
            tuple(self._samples),
            vm.chunks,
            tuple(self._argv),
            self._argv[self._argv.index("-append") + 1],
            beside,
            probes.login if probes else None,
            self._first_result,
        )

    def _guest_probes(self, folder: Path) -> GuestProbes:
        # It needs paramiko, which a host of others has not: such boots happen at home.
        from harness.boot.guest_ssh import GuestProbes

        return GuestProbes(self._request, folder, self._progress)

    async def _probe(self, probes: GuestProbes) -> None:
        try:
            await probes.run(self._vm)
            self._done = probes.done
        finally:
            if self._watch and not probes.done:
                self._watch.give_up(time.monotonic())
            self._news.set()

    def _progress(self) -> None:
        if self._watch:
            self._watch.progress(time.monotonic())
        self._news.set()

    def _console(self, data: bytes, now: float) -> None:
        if self._watch:
            self._watch.feed(data, now)
        if self._guest:
            self._guest.console(data)
        if self._on_output:
            self._on_output(data)
        if self._terminal:
            self._terminal.show(data)
        self._news.set()

    def _probes(self, data: bytes, now: float) -> None:
        if self._watch:
            self._watch.progress(now)
        if data and self._first_result is None:
            self._first_result = round(now - self._vm.start, 6)
        self._tail = (self._tail + data)[-4096:]
        self._done = self._done or DONE in self._tail
        self._news.set()

    async def _wait(self) -> Literal["ended", "done"] | str:
        """Until the guest is done, QEMU is gone, or the watch has seen enough.

        Where a person is at the console, nobody watches once the guest is done: it takes as long as
        the person does.
        """
        assert self._watch
        terminal = self._terminal
        gone = asyncio.create_task(self._vm.ended.wait())
        gone.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                self._news.clear()
                over = self._vm.ended.is_set() or (terminal and terminal.left.is_set())
                if self._done and (over or not terminal):
                    return "done"
                if self._vm.ended.is_set():
                    return "ended"
                if over:
                    raise KeyboardInterrupt
                pause = None
                if not self._done:
                    if cause := self._watch.poll(time.monotonic()):
                        return cause
                    pause = max(0.0, self._watch.next_wakeup() - time.monotonic())
                # Not wait_for(): it loses a Ctrl-C that comes together with news (bpo-37658).
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._news.wait()
        finally:
            gone.cancel()

    async def _ending(self, cause: str) -> Ending:
        wall = round(time.monotonic() - self._vm.start, 3)
        if cause == "ended":
            return self._gone(wall)
        registers, where, short = "", "", ""
        waits = self._guest.waits if self._guest else ""
        if cause not in ("done", "failure", "no-visit"):
            registers = await self._vm.registers()
            where = resolve(registers, self._request.symbols)
            short = starved(self._samples)
        return Ending.model_validate(
            {
                "cause": cause,
                "detail": "; ".join(filter(None, (where, waits, short))),
                "wall_s": wall,
                "registers": registers or None,
                "where": where or None,
            }
        )

    def _gone(self, wall: float) -> Ending:
        """QEMU ended by itself: the guest did it, QEMU refused, or somebody killed it."""
        vm = self._vm
        reasons = [data.get("reason") for name, data in vm.events if name == "SHUTDOWN"]
        cause = str(reasons[-1]) if reasons else "exited"
        if cause not in ("guest-shutdown", "guest-reset"):
            cause = "exited"
        if cause == "exited" and vm.exit_code and vm.exit_code > 0 and not vm.chunks:
            cause = "start-refused"
        return Ending.model_validate(
            {
                "cause": cause,
                "detail": vm.complaint or self._shot(),
                "exit_code": vm.exit_code if (vm.exit_code or 0) >= 0 else None,
                "signal": vm.killed_by,
                "wall_s": wall,
            }
        )

    def _shot(self) -> str:
        """Whether the OOM killer was at work, and how large QEMU had become."""
        if self._vm.killed_by != "SIGKILL" or host.oom_kills() == self._oom_kills:
            return ""
        peak = max((sample.rss_bytes for sample in self._samples), default=0)
        return f"the host's OOM killer, at {format_size(peak)} of resident memory"

    async def _sample(self) -> None:
        pause = SAMPLE_S
        while True:
            self._take_sample()
            if len(self._samples) >= MAX_SAMPLES:
                # A long boot keeps every second sample and takes half as many.
                del self._samples[1::2]
                pause *= 2
            self._due = time.monotonic() + pause
            await asyncio.sleep(pause)
            self._note_gap()

    def _note_gap(self) -> None:
        """How late the harness looks: nobody has stamped what came meanwhile."""
        self._unwatched_s = max(self._unwatched_s, time.monotonic() - self._due)

    def _take_sample(self) -> None:
        if sample := self._vm.sample():
            self._samples.append(sample)


def _terminal() -> Terminal:
    # It needs pexpect; nobody types on a host of others.
    from harness.boot.interact import Terminal

    return Terminal()
