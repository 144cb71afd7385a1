# SPDX-License-Identifier: GPL-2.0-only
"""The plugin of QEMU that counts stores: compiled by the host's gcc, kept in the cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from harness import cache as store
from harness import tool

SOURCES = Path(__file__).parent / "plugin"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fvisibility=hidden")


@dataclass(frozen=True)
class Plugin:
    """A plugin in the cache, and the hash of its sources and the compiler."""

    path: Path
    sha256: str


def build(cache: Path) -> Plugin:
    """Answers the plugin; compiles it when the sources or the compiler are new.

    Raises `HostError` where there is no compiler.
    """
    compiler = tool.run(["gcc", "--version"]).stdout
    digest = hashlib.sha256(b"\0".join((compiler, *(flag.encode() for flag in FLAGS))))
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    name = digest.hexdigest()
    final = cache / "plugin" / name[:16]
    with store.locked(cache / "plugin" / ".lock"):
        if not (final / "stores.so").is_file():
            with store.filling(final) as part:
                tool.run(
                    ["gcc", *FLAGS, "-shared", "-o", part / "stores.so", "stores.c"], cwd=SOURCES
                )
    return Plugin(final / "stores.so", name)
