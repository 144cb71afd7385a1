# SPDX-License-Identifier: GPL-2.0-only
"""Sends a visitor into a guest that is an image while it boots; writes down what he reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness import initramfs
from harness.console import MAX_BYTES
from harness.errors import Failure, RemoteError
from harness.phases import INIT
from harness.qemu import ENTRY
from harness.record import Visit
from harness.request import BootRequest
from harness.results import disk_errors
from harness.vm import VM

if TYPE_CHECKING:
    from harness.visit import Visitor

KNOWN = "known_hosts"
"""In the folder of the run: the host key that the guest showed first."""

PROBES = "probes.jsonl"

KEY = "key"
"""In QEMU's working directory: what the visitor comes in with. It is of this boot only."""


class Caller:
    """The side of a visit that lives on the event loop of the boot.

    `on_news` is called at every sign of life. `failed` says why the visit ended before its time,
    and `visit` how the visitor came in, if he did.
    """

    def __init__(self, request: BootRequest, folder: Path, on_news: Callable[[], None]) -> None:
        self._request = request
        self._folder = folder
        self._on_news = on_news
        self._tail = b""
        self._user_space = asyncio.Event()
        self._visitor: Visitor | None = None
        self._size = 0
        self._left = False
        self.done = False
        self.failed = ""
        self.files = _files(request.initrd)
        self._write(b"")

    @property
    def visit(self) -> Visit | None:
        return self._visitor.visit if self._visitor else None

    @property
    def waits(self) -> str:
        """What keeps the visitor out."""
        if self.visit or self.failed:
            return self.failed
        if not self._visitor:
            return "user space has not begun"
        return f"no login yet: {self._visitor.complaint or 'no answer'}"

    def console(self, data: bytes) -> None:
        """Nobody knocks, which takes CPU time of the host, while the kernel is being measured."""
        if self._user_space.is_set():
            return
        self._tail = self._tail[-64:] + data
        if INIT.encode() in self._tail:
            self._user_space.set()

    async def call(self, vm: VM) -> None:
        """Until the visit is over; what goes wrong in it is in `failed`."""
        await self._user_space.wait()
        if self._left:
            return
        port = await vm.forwarded_port()
        try:
            if not port:
                raise RemoteError(Failure.UNREACHABLE, "QEMU forwards no port to the guest")
            self._visitor = self._make_visitor(vm, port)
            await asyncio.to_thread(self._visitor.pay)
            self._write(initramfs.DONE)
            self.done = True
        except RemoteError as error:
            self.failed = f"{error.failure}: {error.what}"

    def leave(self) -> None:
        """The boot is over, whether the visitor is ready or not."""
        self._left = True
        self._user_space.set()
        if self._visitor:
            self._visitor.leave()

    def _make_visitor(self, vm: VM, port: int) -> Visitor:
        # paramiko, which takes a quarter of a second to load.
        from harness.visit import Address, Visitor

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
        return Visitor(address, guest.program.path, request.probes, self._write, tell)

    def _write(self, data: bytes) -> None:
        """In the thread of the visitor."""
        path = self._folder / PROBES
        kept = data[: MAX_BYTES - self._size]
        self._size += len(kept)
        with disk_errors(path), path.open("ab") as file:
            file.write(kept)


def _files(entry: Path) -> Mapping[str, bytes]:
    """What lies in QEMU's working directory: two keys, and what brings them into the guest."""
    from harness import identity

    private, public = identity.generate()
    host_key, _ = identity.generate()
    return {ENTRY: entry.read_bytes() + initramfs.keys(public, host_key), KEY: private}
