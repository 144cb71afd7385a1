# SPDX-License-Identifier: GPL-2.0-only
"""A series as it was posted: its mails told apart, the newest version, in order.

Nothing here is believed: the bytes are bounded, and git reads mails in a folder of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

from harness.errors import PatchError
from harness.files import MAX_EVIDENCE, read_file
from harness.kernel import mail
from harness.text import one_line

MAX_BYTES = 64 << 20
MAX_MAILS = 1000

_TAGS = re.compile(r"^(?:\s*(?:re|aw|fwd?):)?\s*\[([^\]]*)\]", re.IGNORECASE)
_PLACE = re.compile(r"\b(\d{1,4})/(\d{1,4})\b")
_VERSION = re.compile(r"\bv(\d{1,3})\b", re.IGNORECASE)
_DIFF = re.compile(rb"^(?:diff --git |--- \S)", re.MULTILINE)
_HEADER = re.compile(rb"\A(?:From |[A-Za-z][A-Za-z-]*:[ \t])")
_BASE = re.compile(rb"^base-commit: ([0-9a-f]{40})\s*$", re.MULTILINE)


@dataclass(frozen=True)
class PostedMail:
    """One mail. `number` of `total` is its place in the series, 0 that of the cover letter."""

    subject: str
    """without what stood in brackets"""
    author: str
    message_id: str
    number: int
    total: int
    version: int
    reply: bool
    text: bytes
    """message and diff in UTF-8, as ``git apply`` reads them"""

    @property
    def patch(self) -> bool:
        """Whether it brings a diff, and not as the quotation of one."""
        return bool(_DIFF.search(self.text)) and not self.reply


@dataclass(frozen=True)
class Posting:
    """A series as it was posted, the newest version of it: its patches in order."""

    subject: str
    author: str
    message_id: str
    version: int
    patches: tuple[PostedMail, ...]
    base_commit: str
    """what its ``base-commit:`` trailer names, as `git format-patch --base` writes it; or empty"""


def read(data: bytes, where: str) -> Posting:
    """The series in an mbox, a mail, or a bare diff.

    Raises `PatchError` for what holds no patch, misses one of its series, or is beyond all bounds.
    """
    if len(data) > MAX_BYTES:
        raise PatchError(f"{len(data) >> 20} MiB are no series of patches", where=where)
    if not _HEADER.match(data.lstrip()):
        if not _DIFF.search(data):
            raise PatchError("no mail, and no diff", where=where)
        text = data.replace(b"\r\n", b"\n")
        subject = Path(where).stem or "patch"
        return _posting([PostedMail(subject, "", "", 1, 1, 1, False, text)], where)
    return _posting(_mails(data.lstrip(), where), where)


def read_folder(folder: Path) -> Posting:
    """The series in a folder of ``git format-patch``, or in a maildir."""
    places = [folder / "cur", folder / "new"] if (folder / "cur").is_dir() else [folder]
    files = sorted(path for place in places if place.is_dir() for path in place.iterdir())
    mails: list[PostedMail] = []
    wanted = (".patch", ".mbox", ".eml", ".mbx", ".diff")
    for path in files:
        plain = path.is_file() and not path.is_symlink() and not path.name.startswith(".")
        if plain and (len(places) == 2 or path.suffix in wanted):
            mails += _mails(read_file(path, MAX_EVIDENCE), str(path))
    return _posting(mails, str(folder))


def _mails(data: bytes, where: str) -> list[PostedMail]:
    rich = b"\n>From " in data or b"\n>>From " in data
    found = mail.split(data, where, *(["--mboxrd"] if rich else []))
    if len(found) > MAX_MAILS:
        raise PatchError(f"{len(found)} mails are no series of patches", where=where)
    return [_mail(each, where) for each in found]


def _mail(data: bytes, where: str) -> PostedMail:
    try:
        facts, *parts = mail.info(data, where)
    except PatchError:  # one of many is no mail to git, and so no patch
        facts, parts = {}, []
    said = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in facts.items()}
    # git drops what stands in brackets, which says the place in the series.
    raw = message_from_bytes(data, policy=policy.compat32)
    full = _unfolded(raw.get("Subject", ""))
    tags = " ".join(_TAGS.findall(full))
    place, version = _PLACE.search(tags), _VERSION.search(tags)
    return PostedMail(
        subject=one_line(said.get("Subject", "") or full, 200) or "",
        author=one_line(f"{said.get('Author', '')} <{said.get('Email', '')}>", 200) or "",
        message_id=(one_line(_unfolded(raw.get("Message-ID", "")), 300) or "").strip("<> "),
        number=int(place[1]) if place else 1,
        total=int(place[2]) if place else 1,
        version=int(version[1]) if version else 1,
        reply=bool(re.match(r"\s*(re|aw):", full, re.IGNORECASE)),
        text=b"---\n".join(parts),
    )


def _unfolded(value: object) -> str:
    return " ".join(str(value).split())


def _posting(mails: Sequence[PostedMail], where: str) -> Posting:
    patches = [mail for mail in mails if mail.patch]
    if not patches:
        what = f"{len(mails)} mails, none of them with a diff" if mails else "no mail"
        raise PatchError(what, where=where, remedy="give the mails with the patches themselves")
    version = max(mail.version for mail in patches)
    newest = _newest(patches, version)
    total = max(mail.total for mail in newest)
    if total == 1:  # each by itself: as they come, none twice
        mine = dict(enumerate({mail.text: mail for mail in newest}.values(), 1))
    else:
        mine = {mail.number: mail for mail in newest}
    if missing := [n for n in range(1, total + 1) if n not in mine]:
        numbers = ", ".join(map(str, missing))
        raise PatchError(f"patch {numbers} of {total} is missing", where=where)
    cover = next((m for m in _newest(mails, version) if m.number == 0 and not m.reply), None)
    ordered = tuple(mine[n] for n in sorted(mine))
    about = cover or ordered[0]
    bases = _BASE.findall(b"\n".join(mail.text for mail in _newest(mails, version)))
    return Posting(
        about.subject,
        about.author,
        about.message_id,
        version,
        ordered,
        bases[-1].decode() if bases else "",
    )


def _newest(mails: Iterable[PostedMail], version: int) -> list[PostedMail]:
    return [mail for mail in mails if mail.version == version]
