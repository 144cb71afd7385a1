# SPDX-License-Identifier: GPL-2.0-only
"""``harness clean``: give back disk. Results are never touched."""

from __future__ import annotations

import argparse
import shutil

from harness import cache as caches
from harness.cache import PARTS
from harness.cli.terminal import add_examples, out, project
from harness.errors import UserError
from harness.files import locked
from harness.units import format_size


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Shows what the cache holds; with names, removes these parts. A folder without the tag"
        " of a cache is left alone. Results are never touched."
    )
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=", ".join(PARTS))
    add_examples(
        parser,
        "harness clean                   # shows what the cache holds; removes nothing",
        "harness clean work ccache       # the largest parts that a build makes again",
        "harness clean accelerator       # forget whether KVM works here",
    )
    parser.set_defaults(action=run)


def _part(name: str) -> str:
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"no part called {name!r}; there are {', '.join(PARTS)}")
    return name


def run(arguments: argparse.Namespace) -> int:
    """Shows or removes parts of the cache."""
    cache = project(arguments).cache
    if arguments.parts and cache.exists() and not caches.claim(cache):
        raise UserError(
            f"no cache of the harness: it has no {caches.TAG} of ours, and holds other things",
            where=str(cache),
            remedy="name a folder of its own in PAGEINIT_CACHE or --cache; remove by hand what"
            " the harness left in this one",
        )
    for name in arguments.parts or PARTS:
        folder = cache / name
        if not folder.exists():
            continue
        size = sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir())
        if arguments.parts:
            with locked(folder / ".lock"):
                # A part may lie elsewhere, which is not ours to remove.
                folder.unlink() if folder.is_symlink() else shutil.rmtree(folder)
        verb = "removed" if arguments.parts else "holds"
        out.print(f"{name:12} {verb} {format_size(size)}", markup=False)
    return 0
