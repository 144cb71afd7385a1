# SPDX-License-Identifier: GPL-2.0-only
"""A Dask scheduler of our own, for workers on hosts that are not trusted with this machine.

Dask trusts whoever may connect: it unpickles what it is sent, and runs functions on request. So
what comes from a host is read here by other rules: plain data of a limited size, and no more than
the few messages of a worker. Our own client talks to it inside this process.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import msgpack
from distributed import Client, Scheduler, Security
from distributed.comm.core import CommClosedError
from distributed.comm.registry import backends
from distributed.comm.tcp import TLS, TLSBackend, TLSListener
from distributed.protocol.utils import unpack_frames
from tornado.iostream import StreamClosedError

from harness.hosts.lease import Resources
from harness.hosts.task import TOPIC
from harness.units import MIB

MAX_MESSAGE = MIB
SCHEME = "pageinit"
OPS = {
    *("register-worker", "heartbeat_worker", "unregister", "worker-status-change"),
    *("task-finished", "task-erred", "release-worker-data", "long-running"),
    *("log-event", "keep-alive", "close-stream"),
}
"""What a worker has to say."""
SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,  # retries are ours
    "distributed.scheduler.work-stealing": False,  # what is bound stays
    "distributed.scheduler.worker-ttl": "60s",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.http.routes": [],
}

# What goes wrong with a host is said by those who look after it.
logging.getLogger("distributed").setLevel(logging.CRITICAL)


class RefusedError(ValueError):
    """A message that no worker of ours would send."""


def read_message(frame: bytes | memoryview) -> object:
    """The plain part of a message of Dask; what was pickled stays where it is."""

    def plain(value: dict[Any, Any]) -> object:
        if "__Serialized__" in value:
            return "an object, which is not read"
        if "__Set__" in value:
            return list(value.get("as-list", ()))
        if any(isinstance(key, str) and key.startswith("__") for key in value):
            raise RefusedError("holds more than plain data")
        return value

    return msgpack.loads(frame, object_hook=plain, use_list=False, strict_map_key=False)


def sift(message: object) -> object:
    """The message, or of a list of messages those that matter; refuses what is none of a worker."""
    if isinstance(message, tuple):
        return tuple(sift(one) for one in message if _matters(one))
    if not isinstance(message, dict):
        return message
    if "op" in message and message["op"] not in OPS:
        raise RefusedError("asks for what no worker asks for")
    # The client would unpickle the type of a result.
    return message | {"type": b""} if "type" in message else message


def _matters(message: object) -> bool:
    """Dask's own clients listen to some topics, and unpickle what is said there."""
    if isinstance(message, dict) and message.get("op") == "log-event":
        return message.get("topic") == TOPIC
    return True


class Guarded(TLS):
    """A connection to a worker."""

    async def read(self, deserializers: object = None) -> object:
        """The next message; whoever sends another one is cut off."""
        try:
            if self.stream is None:
                raise RefusedError("is closed")
            (size,) = struct.unpack("Q", await self.stream.read_bytes(8))
            if size > MAX_MESSAGE:
                raise RefusedError("is too large")
            frames, missing = unpack_frames(await self.stream.read_bytes(size), partial=True)
            if missing:
                raise RefusedError("is too large")
            return sift(read_message(frames[0]))
        except (StreamClosedError, OSError, ValueError, struct.error, LookupError, TypeError) as e:
            self.abort()
            raise CommClosedError(str(e)) from None
        except BaseException:
            self.abort()
            raise


class GuardedListener(TLSListener):
    """Where workers connect to."""

    comm_class = Guarded


class GuardedBackend(TLSBackend):
    """The scheme of its address."""

    _listener_class = GuardedListener


class Quiet(Scheduler):
    """Without the web server, which every user of this machine could ask."""

    def start_http_server(self, *args: object, **words: object) -> None:
        """There is none."""


@dataclass(frozen=True)
class Gate:
    """The scheduler as the rest of us sees it."""

    client: Client
    scheduler: Scheduler
    port: int
    """on the loopback interface, where workers connect to"""
    identity: dict[str, str]
    """certificate and key that a worker shows, as PEM; made for this start"""

    def workers(self) -> dict[str, Resources]:
        """What each worker that is there declares, by its name."""
        known = self.scheduler.workers.values()
        return {str(worker.name): dict(worker.resources) for worker in known}


@asynccontextmanager
async def open_gate(folder: Path) -> AsyncIterator[Gate]:
    """A scheduler in this process, and a client of it; `folder` is for their files."""
    backends.setdefault(SCHEME, GuardedBackend())
    security = Security.temporary()
    with dask.config.set(SETTINGS):
        both: dict[str, Any] = {"protocol": ["inproc", SCHEME], "host": [None, "127.0.0.1"]}
        async with Quiet(
            **both, port=0, security=security, local_directory=str(folder)
        ) as scheduler:
            inside, outside = (listener.contact_address for listener in scheduler.listeners)
            async with Client(inside, asynchronous=True, security=security) as client:
                port = int(outside.rpartition(":")[2])
                identity = {
                    "tls_ca_file": security.tls_ca_file,
                    "tls_worker_cert": security.tls_worker_cert,
                    "tls_worker_key": security.tls_worker_key,
                }
                yield Gate(client, scheduler, port, identity)
