# SPDX-License-Identifier: GPL-2.0-only
"""Patches as they come by mail: encoded, with line ends of a network, several in one file.

git splits and decodes them. A file that needs neither is taken byte by byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness import process
from harness.errors import PatchError
from harness.files import scratch
from harness.kernel.git import environment

_FROM = re.compile(rb"^From \S+ .*\d\d:\d\d:\d\d.*\d{4}\s*$", re.M)
"""What begins a mail of an mbox."""
_HEADER = re.compile(rb"From |[A-Za-z][A-Za-z0-9-]*:")
_ENCODING = re.compile(rb"^content-transfer-encoding:\s*(quoted-printable|base64)\b", re.M | re.I)
_MULTIPART = re.compile(rb"^content-type:\s*(multipart)/", re.M | re.I)
_FLOWED = re.compile(rb"format=\"?flowed", re.I)
_DIFF = re.compile(rb"^(diff --git |Index: |--- \S)", re.M)


@dataclass(frozen=True)
class Mail:
    """One patch as ``git apply`` takes it; `notes` say what it was."""

    patch: Path
    text: bytes
    notes: tuple[str, ...] = ()
    number: int = 0
    """the place in its file, where that has several"""

    @property
    def name(self) -> str:
        """The name of its file, with the place in it."""
        return f"{self.patch.name}#{self.number}" if self.number else self.patch.name

    @property
    def where(self) -> str:
        """Its file, and what it was, for errors."""
        told = (*([f"mail {self.number}"] if self.number else []), *self.notes)
        return f"{self.patch} ({', '.join(told)})" if told else str(self.patch)

    @property
    def flowed(self) -> bool:
        """Whether a mailer was allowed to break its lines anew."""
        return bool(_FLOWED.search(_header(self.text)))


def read(patch: Path) -> tuple[Mail, ...]:
    """The patches of a file: one, or those of the mails of an mbox, less a cover letter."""
    data = patch.read_bytes()
    if len(_FROM.findall(data)) < 2:
        return (Mail(patch, *_decoded(data, patch)),)
    mails = [_decoded(part, patch) for part in split(data, str(patch), "--keep-cr")]
    found = [mail for mail in mails if _DIFF.search(mail[0])] or mails[:1]
    return tuple(Mail(patch, *mail, number) for number, mail in enumerate(found, 1))


def split(data: bytes, where: str, *options: str) -> list[bytes]:
    """The mails of an mbox, or one mail; `options` are those of ``git mailsplit``.

    Raises `PatchError` where git cannot tell them apart.
    """
    with scratch() as folder:
        _git(where, folder, data, "mailsplit", "-b", *options, f"-o{folder}")
        return [path.read_bytes() for path in sorted(folder.iterdir())]


def info(data: bytes, where: str) -> tuple[dict[bytes, bytes], bytes, bytes]:
    """What ``git mailinfo`` says of a mail, its message and its patch, all in UTF-8.

    Raises `PatchError` for what is no mail to git.
    """
    with scratch() as folder:
        facts = _git(where, folder, data, "mailinfo", "--encoding=UTF-8", "message", "patch")
        said = dict(line.partition(b": ")[::2] for line in facts.splitlines())
        return said, (folder / "message").read_bytes(), (folder / "patch").read_bytes()


def _decoded(data: bytes, patch: Path) -> tuple[bytes, tuple[str, ...]]:
    """The text of a mail, and what was done to it."""
    header = _header(data)
    encoding = _ENCODING.search(header) or _MULTIPART.search(header)
    notes = [encoding[1].decode().lower()] if encoding else []
    wired = _of_a_network(data)
    if wired and encoding:
        data = data.replace(b"\r\n", b"\n")
    if encoding:
        data = _unpacked(data, patch)
    diff = _DIFF.search(data)
    if diff and _of_a_network(data[diff.start() :]):
        wired, data = True, data.replace(b"\r\n", b"\n")
    return data, (*notes, *(["CR LF at the end of each line"] if wired else []))


def _of_a_network(data: bytes) -> bool:
    """Whether each line ends in CR LF, which no source file of a kernel has."""
    return bool(data) and data.count(b"\r\n") == data.count(b"\n") > 0


def _header(data: bytes) -> bytes:
    """The lines before the first empty one, if a mail begins so."""
    return re.split(rb"\r?\n\r?\n", data, maxsplit=1)[0] if _HEADER.match(data) else b""


def _unpacked(data: bytes, patch: Path) -> bytes:
    """A mail in plain text: subject, message and patch."""
    said, message, diff = info(data, str(patch))
    author = said.get(b"Author", b"") + b" <" + said.get(b"Email", b"") + b">"
    head = b"From: " + author + b"\nSubject: " + said.get(b"Subject", b"") + b"\n\n"
    return head + message + diff


def _git(where: str, folder: Path, data: bytes, *words: str) -> bytes:
    done = process.run(["git", *words], cwd=folder, env=environment(), stdin=data, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise PatchError(f"git {words[0]} cannot read this mail: {said}", where=where)
    return done.stdout
