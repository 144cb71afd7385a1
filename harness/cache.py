# SPDX-License-Identifier: GPL-2.0-only
"""The cache folder: its parts, what lies in each, and the tag that says whose it is."""

from __future__ import annotations

import re
from pathlib import Path

from harness.files import write_atomic

TAG = "CACHEDIR.TAG"
"""Marks a cache for programs that make backups too (the Cache Directory Tagging Specification)."""
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n"
_OURS = "# a cache of pageinit: all of it can be made again, and `harness clean` removes parts\n"

_PARTS = {
    "work": r"[^/]+/(linux/|index|index\.lock)?",
    "kernels": r"[^/]+/((bz)?Image|System\.map|config|build\.log|[a-z]+\.json)?|failed-[^/]+\.log",
    "ccache": r"([0-9a-f]|tmp|lock)/.*|ccache\.conf|CACHEDIR\.TAG|stats",
    "warnings": r"[0-9a-f]+\.json",
    "initramfs": r"[^/]+/([a-z0-9-]+\.cpio|probe|sha256)?",
    "prebuilt": r"[^/]+/(vmlinuz|config|System\.map|prebuilt\.json)?",
    "kvm-guest": r"[^/]+/(vmlinuz|[a-z0-9_-]+\.ko)?",
    "accelerator": r"[0-9a-f]+\.json",
    "plugin": r"[^/]+/([a-z]+\.so|sha256)?",
    "kallsyms": r"[^/]+/(System\.map|sha256)?",
    "sources": r"[^/]+/(repo\.git/|source\.json|applied/|[0-9a-f]+\.index)?",
    "gate": r"[^/]+\.json",
    "charts": r"vega-[^/]+\.js",
    "images": r"[0-9a-f]+\.json",
}
"""The parts, and what is in each of them down to the second level; folders end in a slash."""
PARTS = tuple(name for name in _PARTS if name != "images")
"""Those that are worth giving back."""
_BESIDE = re.compile(r"hosts/|(door|room)\.lock")
_PASSING = re.compile(r"(.*/)?(\.lock|\.part-[^/]*/.*|\.[^/]+\.tmp)")
"""Locks, and what a process that was killed leaves."""


def claim(cache: Path) -> bool:
    """Whether a folder is a cache of ours, by its tag.

    A new or empty one gets the tag, and so does one of an earlier version, which holds nothing but
    what a cache holds.
    """
    tag = cache / TAG
    if tag.is_file():
        return _OURS in tag.read_text(encoding="utf-8", errors="replace")
    if cache.exists() and not all(map(_is_part, cache.iterdir())):
        return False
    write_atomic(tag, _SIGNATURE + _OURS)
    return True


def _is_part(entry: Path) -> bool:
    name = _shown(entry, entry.parent)
    if _BESIDE.fullmatch(name) or _PASSING.fullmatch(name):
        return True
    form = _PARTS.get(name.removesuffix("/"))
    if form is None or not entry.is_dir():
        return False
    inside = (_shown(path, entry) for path in (*entry.glob("*"), *entry.glob("*/*")))
    return all(re.fullmatch(form, path) or _PASSING.fullmatch(path) for path in inside)


def _shown(path: Path, top: Path) -> str:
    return path.relative_to(top).as_posix() + "/" * path.is_dir()
