# SPDX-License-Identifier: GPL-2.0-only
"""Foreign text made harmless for a terminal, a page and a field of a CSV."""

from __future__ import annotations

import functools
import re


def printable(text: str, keep: str = "") -> str:
    """Foreign text without control characters, but for those that are to be kept."""
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)


_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BLANK = re.compile(r"[\t\n ]+")


def clean(text: str) -> str:
    """Guest text without the characters that drive a terminal or reorder a line."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


@functools.lru_cache(maxsize=4096)
def one_line(text: str | None) -> str | None:
    """Text for one field of a CSV; None when there is nothing to say."""
    return _BLANK.sub(" ", clean(text)).strip() or None if text else None
