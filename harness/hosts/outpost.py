# SPDX-License-Identifier: GPL-2.0-only
"""A Dask worker that is kept on a host, over one connection that is made again when it breaks.

Port 22 alone is used: the host reaches our scheduler through a port that its SSH server forwards.
The worker ends with the connection; what it has begun does not.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import Failure, RemoteError
from harness.hosts.courier import Courier
from harness.hosts.inventory import Host, Inventory
from harness.ssh import Connection, Deadline, Link, SSHTimeouts, Trust, Voice, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    import paramiko

    from harness.hosts.lease import Resources
    from harness.hosts.scheduler import Gate


BEAT_S, LOOK_S = 5.0, 0.5
MISSED_S = 3.0
"""That a worker which the scheduler has missed may take to end, and to say why."""
CHUNK = 1 << 16
NEEDED = "distributed"


@dataclass(frozen=True)
class Terms:
    """What all outposts have in common."""

    inventory: Inventory
    trust: Trust
    limits: SSHTimeouts
    cache: Path
    gate: Gate
    pause_s: float


class Outpost:
    """One host. `keep` runs in a thread; all else may be called from any."""

    def __init__(self, terms: Terms, name: str, number: int, failed: Callable[[str], None]) -> None:
        self._terms, self._name, self._number = terms, name, number
        self._failed = failed
        self._connection: Connection | None = None
        self._stopped = threading.Event()

    def keep(self) -> None:
        """Returns when it is stopped; `failed` is told of each time that there is no worker."""
        while not self._stopped.is_set():
            try:
                self._hold()
            except RemoteError as error:
                why = error.what
            except Exception as error:  # of one host: it must not take the others along
                why = f"{type(error).__name__}: {error}"[:200]
            else:
                return
            self._failed(why)
            self._stopped.wait(self._terms.pause_s)

    def stop(self) -> None:
        """Ends the worker, soon."""
        self._stopped.set()

    @contextlib.contextmanager
    def link(self) -> Iterator[Link]:
        """The connection; raises `RemoteError` while there is none."""
        connection = self._connection
        if connection is None:
            raise RemoteError(Failure.CLOSED, "is not connected now", where=self._name)
        yield connection

    def _hold(self) -> None:
        """Until the connection breaks, or the worker ends: both are errors."""
        terms, host = self._terms, self._terms.inventory.hosts[self._name]
        with Connection(terms.inventory, self._name, terms.trust, terms.limits) as connection:
            with Courier.at(connection, host, terms.cache) as courier:
                words = courier.equip(NEEDED)
            port = connection.listen(lambda channel: _join(channel, terms.gate.port))
            with connection.converse([*words, "harness.hosts.attendant"]) as voice:
                settings = json.dumps(self._settings(port)).encode()
                voice.say(settings + b"\n", terms.limits.command_s)
                self._connection = connection
                try:
                    self._beat(voice)
                finally:
                    self._connection = None

    def _settings(self, port: int) -> dict[str, object]:
        return {
            "scheduler": f"tls://127.0.0.1:{port}",
            "identity": self._terms.gate.identity,
            "name": self._name,
            "resources": declared(self._name, self._terms.inventory.hosts[self._name]),
            "listen": f"tls://{address(self._number)}",
        }

    def _beat(self, voice: Voice) -> None:
        """Shows the attendant that we are there, and wants to hear the same of it."""
        limit, seen = self._terms.limits.command_s, False
        heard, missed = Deadline.after(limit), Deadline.after(MISSED_S)
        while not self._stopped.is_set():
            voice.say(b".", limit)
            beat = Deadline.after(min(BEAT_S, limit / 3))
            while not beat.expired and not self._stopped.is_set():
                said = voice.hear(LOOK_S)
                if said == b"":
                    what = "its Dask worker ended"
                    if words := voice.end().complaint:
                        what += f": {words}"
                    raise RemoteError(Failure.CLOSED, what)
                if said:
                    heard = Deadline.after(limit)
                if self._name in self._terms.gate.workers():
                    seen, missed = True, Deadline.after(MISSED_S)
                if heard.expired or (seen and missed.expired):
                    raise RemoteError(Failure.SILENT, "its Dask worker is silent")


def declared(name: str, host: Host) -> Resources:
    """What the worker of a host declares."""
    found: Resources = {"memory": host.memory, "cores": host.cores, f"host:{name}": 1}
    found |= {f"label:{label}": 1 for label in host.labels}
    return found | ({"kvm": 1} if host.accel == "kvm" else {})


def address(number: int) -> str:
    """A loopback address for each host: Dask knows workers by their addresses, all being local."""
    high, low = divmod(number, 250)
    return f"127.{77 + high // 250}.{high % 250}.{low + 1}"


def _join(channel: paramiko.Channel, port: int) -> None:
    """Carries bytes between a channel and a port here, until either of them ends."""
    try:
        link = socket.create_connection(("127.0.0.1", port), 10)
    except OSError:
        channel.close()
        return
    link.settimeout(None)

    def carry(take: Callable[[int], bytes], give: Callable[[bytes], object]) -> None:
        with quiet():
            while data := take(CHUNK):
                give(data)
        with quiet():
            link.shutdown(socket.SHUT_RDWR)
        link.close()
        with quiet():
            channel.close()

    for ends in ((channel.recv, link.sendall), (link.recv, channel.sendall)):
        threading.Thread(target=carry, args=ends, daemon=True).start()
