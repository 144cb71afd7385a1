# SPDX-License-Identifier: GPL-2.0-only
"""The harness on a host: its code, the very one that runs here, and an interpreter for it.

The code is a folder of pure Python, so it is sent as a zip archive and imported from where that was
unpacked. Nothing is installed on the host: without an interpreter that is named, a virtual
environment is made from a package index, with the few requirements of a worker.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from harness.errors import Failure, RemoteError
from harness.project import SHIPPED

if TYPE_CHECKING:
    from harness.hosts.inventory import Host
    from harness.ssh import Connection


NEEDED = ("lazy-loader", "pydantic", "PyYAML", "qemu.qmp", "distributed")
"""Requirements of a host that boots blocks."""
SETUP_S = 900
SLOWEST = 100_000
"""Bytes a second that the code has to be sent with at least."""
MARK = "pageinit-home "
_LOOK = f"""\
import json, os, sys
home = os.path.expanduser("~/.cache/pageinit/hosts")
there = [name for name in sys.argv[1:] if os.path.exists(os.path.join(home, name))]
print({MARK!r} + json.dumps([home, there]))
"""
_UNPACK = """\
import io, os, shutil, sys, zipfile
os.umask(0o077)
final, data = sys.argv[1], sys.stdin.buffer.read()
shutil.rmtree(final + ".part", ignore_errors=True)
zipfile.ZipFile(io.BytesIO(data)).extractall(final + ".part")
os.rename(final + ".part", final)
"""


@functools.cache
def code() -> str:
    """The hash of the code that runs here, the same wherever it was imported from."""
    digest = hashlib.sha256()
    for path, data in _sources():
        digest.update(f"{path} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]


def install(connection: Connection, host: Host) -> list[str]:
    """Brings what a host lacks; answers the words before the name of a module that is to run."""
    pins = [f"{name}=={metadata.version(name)}" for name in NEEDED]
    venv = f"venv-{hashlib.sha256(' '.join(pins).encode()).hexdigest()[:16]}"
    home, there = _look(connection, f"code-{code()}", f"{venv}/ready")
    source, python = f"{home}/code-{code()}", host.python or f"{home}/{venv}/bin/python"
    if f"code-{code()}" not in there:
        data = _archive()
        _do(connection, ["python3", "-I", "-c", _UNPACK, source], data, 30 + len(data) / SLOWEST)
    if not host.python and f"{venv}/ready" not in there:
        _do(connection, ["python3", "-m", "venv", "--clear", f"{home}/{venv}"])
        _do(connection, [f"{home}/{venv}/bin/pip", "install", "--quiet", "--no-input", *pins])
        _do(connection, ["touch", f"{home}/{venv}/ready"])
    return ["env", f"PYTHONPATH={source}", python, "-s", "-m"]


def _sources() -> Iterator[tuple[str, bytes]]:
    """Path and content of each file of the package."""

    def walk(folder: Traversable, before: str) -> Iterator[tuple[str, bytes]]:
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            path = f"{before}/{entry.name}"
            if entry.is_dir() and entry.name not in ("__pycache__", SHIPPED.name):
                yield from walk(entry, path)
            elif entry.is_file():
                yield path, entry.read_bytes()

    yield from walk(resources.files("harness"), "harness")


@functools.cache
def _archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in _sources():
            archive.writestr(path, content)
    return data.getvalue()


def _look(connection: Connection, *names: str) -> tuple[str, list[str]]:
    """The folder of all this there, and which of these are in it; its shell may say more."""
    said = _do(connection, ["python3", "-I", "-c", _LOOK, *names], limit_s=None)
    try:
        home, there = json.loads(said.rpartition(MARK.encode())[2])
    except (ValueError, TypeError, RecursionError):
        home, there = "", []
    if not isinstance(home, str) or not re.fullmatch(r"/[^\0-\x1f]{1,1000}", home):
        raise RemoteError(Failure.BAD_ANSWER, "does not say where its files are")
    return home, [name for name in names if isinstance(there, list) and name in there]


def _do(
    connection: Connection, argv: list[str], stdin: bytes = b"", limit_s: float | None = SETUP_S
) -> bytes:
    done = connection.run(argv, stdin=stdin, limit_s=limit_s)
    if done.status:
        raise RemoteError(
            Failure.COMMAND,
            f"{' '.join(argv[:3])}: exit status {done.status}: {done.complaint}"[:500],
            remedy="let it reach a package index, or name an interpreter with `python`",
        )
    return done.stdout
