# SPDX-License-Identifier: GPL-2.0-only
"""Which host keys are believed: files of known hosts as OpenSSH writes them.

An unknown key is refused, or recorded where that was asked for; a changed or a revoked one is
refused always. Patterns (``*.lab``) and certificate authorities are not understood: a host that
only they cover is unknown, which errs on the safe side.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from paramiko import PKey
from paramiko.hostkeys import HostKeyEntry, HostKeys, InvalidHostKey
from paramiko.ssh_exception import SSHException

from harness.errors import Failure, RemoteError
from harness.files import append_line, read_file

SYSTEM = Path("/etc/ssh/ssh_known_hosts")
MAX_BYTES = 16 << 20


class KnownHosts:
    """The known hosts of some files; new ones go to `record`, if there is one. Thread-safe."""

    def __init__(self, files: Sequence[Path], record: Path | None = None) -> None:
        self._files = tuple(files)
        self._record = record
        self._lock = threading.Lock()
        self._known = HostKeys()
        self._revoked: set[bytes] = set()
        self._torn: dict[str, str] = {}
        for path in files:
            for number, revoked, names, entry in _entries(path):
                if entry is None or entry.key is None:
                    self._torn |= dict.fromkeys(names, f"line {number} of {path}")
                    continue
                if revoked:
                    self._revoked.add(entry.key.asbytes())
                    continue
                for name in entry.hostnames or ():
                    self._known.add(name, entry.key.get_name(), entry.key)

    def kinds(self, address: str, port: int) -> tuple[str, ...]:
        """The kinds of key that are known of a host: the ones to ask it for."""
        return tuple((self._known.lookup(_name(address, port)) or {}).keys())

    def check(self, address: str, port: int, key: PKey) -> None:
        """Raises `RemoteError` unless the key is the one that the host is known by."""
        name = _name(address, port)
        shown = f"{key.get_name()} {key.fingerprint}"
        with self._lock:
            if key.asbytes() in self._revoked:
                raise RemoteError(
                    Failure.REVOKED_KEY,
                    f"shows a key that is marked as revoked: {shown}",
                    remedy="do not log in there before its owner has explained it",
                )
            known = self._known.lookup(name)
            if name in self._torn and (known is None or known.get(key.get_name()) != key):
                raise RemoteError(
                    Failure.UNKNOWN_KEY,
                    f"is not known: {self._torn[name]}, which names it, is damaged",
                    remedy="mend that line, or remove it and accept the host anew",
                )
            if not known:
                self._meet(name, key, shown)
            elif known.get(key.get_name()) != key:
                raise RemoteError(
                    Failure.CHANGED_KEY,
                    f"shows another key than the one it is known by: {shown}",
                    remedy="somebody may be in between; if the host was installed anew, run"
                    f" ssh-keygen -f {self._files[0]} -R '{name}' and check again",
                )

    def _meet(self, name: str, key: PKey, shown: str) -> None:
        if not self._record:
            raise RemoteError(
                Failure.UNKNOWN_KEY,
                f"is not known yet; it shows {shown}",
                remedy="compare with `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` there, then"
                " `harness hosts check --accept-new`, or log in once with ssh",
            )
        append_line(
            self._record, f"{name} {key.get_name()} {key.get_base64()}", mode=0o600, linked=True
        )
        self._known.add(name, key.get_name(), key)


def _name(address: str, port: int) -> str:
    return address if port == 22 else f"[{address}]:{port}"


def _entries(path: Path) -> Iterator[tuple[int, bool, list[str], HostKeyEntry | None]]:
    """The lines of a file: number, whether it revokes its key, the hosts it names, and what it
    says; nothing where it is damaged."""
    try:
        lines = read_file(path, MAX_BYTES).decode("utf-8", "replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return
    for number, line in enumerate(lines, 1):
        words = line.split(maxsplit=1)
        mark = words[0] if words and words[0].startswith("@") else ""
        if not words or words[0].startswith("#") or mark not in ("", "@revoked"):
            continue
        text = (words[1:] or [""])[0] if mark else line.strip()
        fields = text.split()
        try:
            entry = HostKeyEntry.from_line(" ".join(fields))
            if entry is None and len(fields) > 2:  # of a kind that is not understood
                continue
            if entry and entry.key and entry.key.asbytes() != base64.b64decode(fields[2]):
                entry = None  # of a key that was cut off, the begin may look like another key
        except (InvalidHostKey, SSHException, ValueError, IndexError):
            entry = None
        yield number, bool(mark), fields[0].split(",") if fields else [], entry
