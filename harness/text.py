# SPDX-License-Identifier: GPL-2.0-only
"""Foreign text made harmless, for each place that shows it. Pure.

What a guest, a host, another program or a file says is foreign. A character is unsafe when Python
calls it not printable: control characters, which drive a terminal; those that turn the direction of
a line or show nothing; lone surrogates, which no file can hold; and what Unicode has not assigned.
Each is shown as U+FFFD, so that it is seen that something stood there. The raw bytes stay in the
evidence.

- A terminal, a page: `clean`. Newline and tab stay, all else unsafe goes. Markup of a terminal is
  escaped by rich, HTML by Jinja, which escapes all that it is not told to leave.
- A field of a CSV, a message, a line of a protocol: `one_line`.
- Markdown: `markdown`, a cell of a table too.
- A terminal at the guest's console: `Shared`, which lets a line editor work.
"""

from __future__ import annotations

import codecs
import functools
import re

UNSAFE = "\N{REPLACEMENT CHARACTER}"
"""What stands for an unsafe character."""

_BLANK = re.compile(r"[\t\n ]+")
_MARKED = re.compile(r"[\\`*\[\]#|~]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown would read as its own; an underscore within a word is none."""


def clean(text: str) -> str:
    """Text that neither drives a terminal nor reorders a line, as long as it was."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else UNSAFE for c in text)


@functools.lru_cache(maxsize=4096)
def one_line(text: str | None, most: int | None = None) -> str | None:
    """Clean text on one line of at most `most` characters; None where there is nothing to say."""
    return _BLANK.sub(" ", clean(text)).strip()[:most].rstrip() or None if text else None


def markdown(text: str) -> str:
    """Text on one line that Markdown shows as it is, in a cell of a table too."""
    plain = clean(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;")
    return _MARKED.sub(r"\\\g<0>", plain)


_PIECE = re.compile(r"\x1b\[[0-9;?]{0,16}[ -/]?[@-~]|[^\x1b]+|\x1b")
_EDITS = re.compile(r"\x1b\[[0-9;]*[@A-DGHJKPm]")
"""Colours, and moves and erasures as line editors make them: none asks the terminal anything."""
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?]{0,16}[ -/]?)?\Z")


class Shared:
    """What a guest prints, for a terminal that a person shares with it, piece by piece.

    A line can be edited; no title, clipboard or key can be set, and no answer be asked for.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def __call__(self, data: bytes) -> bytes:
        """The next piece; what may be the begin of a sequence comes with the one after it."""
        text = self._held + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished[0] if unfinished else ""
        whole = text[: unfinished.start()] if unfinished else text
        return "".join(map(_shared, _PIECE.findall(whole))).encode()


def _shared(piece: str) -> str:
    if piece.startswith("\x1b["):
        return piece if _EDITS.fullmatch(piece) else ""
    return "".join(c if c.isprintable() or c in "\a\b\t\r\n" else UNSAFE for c in piece)
