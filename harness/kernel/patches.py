# SPDX-License-Identifier: GPL-2.0-only
"""Quilt series applied to a base: without fuzz, without a work tree, each step a git tree."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import PatchError
from harness.files import scratch, write_atomic
from harness.kernel.git import Repository
from harness.kernel.mail import Mail, read
from harness.kernel.source import Source

log = logging.getLogger(__name__)

SERIES_FILE = "series"

_EXCERPT = 14
"""Lines of a rejected hunk that an error shows."""


@dataclass(frozen=True)
class AppliedPatch:
    """The tree after one more patch; `name` is that of its file, and of the mail in it."""

    patch: Path
    tree: str
    name: str


@dataclass(frozen=True)
class PatchedTree:
    """A base with series applied: `tree` is the git tree id of the result.

    `files` and the lines `added` and `removed` are those of the whole difference, as ``git diff
    --stat`` counts them. `steps` has the tree after each patch, in order.
    """

    tree: str
    files: tuple[str, ...]
    added: int
    removed: int
    steps: tuple[AppliedPatch, ...]


def read_series(folder: Path) -> tuple[Path, ...]:
    """The patches that ``folder/series`` names, in order.

    Raises `PatchError` for a patch that is missing, lies outside the folder, is named twice or
    asks for another strip level than ``-p1``.
    """
    file = folder / SERIES_FILE
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise PatchError("no such file", where=str(file)) from None
    except UnicodeDecodeError as error:
        raise PatchError(f"not text: {error}", where=str(file)) from None
    patches: list[Path] = []
    for number, line in enumerate(lines, 1):
        words = re.sub(r"(^|\s)#.*", "", line).split()
        if words:
            patch = _named_patch(folder, words, f"{file}:{number}")
            if patch in patches:
                raise PatchError(f"{words[0]} is named twice", where=f"{file}:{number}")
            patches.append(patch)
    return tuple(patches)


def _named_patch(folder: Path, words: list[str], where: str) -> Path:
    name, *options = words
    if any(option != "-p1" for option in options):
        raise PatchError(f"{' '.join(options)}: only -p1 is understood", where=where)
    patch = folder / name
    if not patch.resolve().is_relative_to(folder.resolve()):
        raise PatchError(f"{name} lies outside the folder of the series", where=where)
    if not patch.is_file():
        raise PatchError(f"no patch called {name}", where=where)
    return patch


def apply(source: Source, series: Sequence[Path]) -> PatchedTree:
    """Applies the series in these folders, one after the other, to the base."""
    return apply_patches(source, [patch for folder in series for patch in read_series(folder)])


def apply_patches(source: Source, patches: Sequence[Path]) -> PatchedTree:
    """Applies patches, one after the other, to the base.

    Raises `PatchError` that names patch, file and hunk when one does not apply, and says so when
    it is in the tree already. A combination applied before is answered from the cache.
    """
    mails = [mail for patch in patches for mail in read(patch)]
    texts = [patch.read_bytes() for patch in patches]
    parts = [source.tree.encode(), *(hashlib.sha256(text).digest() for text in texts)]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    memory = source.folder / "applied" / f"{key}.json"
    trees = _remembered(memory, len(mails))
    if trees is None:
        trees = _apply_all(source, mails)
        write_atomic(memory, json.dumps(trees) + "\n")
    tree = trees[-1] if trees else source.tree
    changes = source.repository.changes(source.tree, tree)
    return PatchedTree(
        tree=tree,
        files=tuple(change.file for change in changes),
        added=sum(change.added for change in changes),
        removed=sum(change.removed for change in changes),
        steps=tuple(
            AppliedPatch(mail.patch, tree, mail.name)
            for mail, tree in zip(mails, trees, strict=True)
        ),
    )


def _remembered(memory: Path, count: int) -> list[str] | None:
    try:
        trees = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return None
    return trees if isinstance(trees, list) and len(trees) == count else None


def _apply_all(source: Source, mails: Sequence[Mail]) -> list[str]:
    repository, trees = source.repository, []
    with scratch() as folder:
        index = folder / "index"
        _fill_index(source, index)
        for mail in mails:
            if mail.notes or mail.number:
                log.info(f"decoded: {mail.where}")
            _apply_one(repository, index, mail, source.version)
            trees.append(repository.git("write-tree", index=index).stdout.decode().strip())
    return trees


def _fill_index(source: Source, index: Path) -> None:
    """Copies the base's index, which is made once: reading 80,000 entries anew is the slow part."""
    kept = source.folder / f"{source.tree[:16]}.index"
    if not kept.is_file():
        source.repository.git("read-tree", source.tree, index=index)
        write_atomic(kept, index.read_bytes())
    shutil.copyfile(kept, index)


def _apply_one(repository: Repository, index: Path, mail: Mail, version: str) -> None:
    argv = ("apply", "--cached", "--whitespace=nowarn", "-p1")
    done = repository.git(*argv, index=index, stdin=mail.text, check=False)
    if done.returncode == 0:
        return
    back = repository.git(*argv, "--check", "--reverse", index=index, stdin=mail.text, check=False)
    if back.returncode == 0:
        raise PatchError(
            f"already applied: {version} with the patches before it has this change",
            where=mail.where,
            remedy="drop it from its series, or from the variant's list of series",
        )
    said = done.stderr.decode("utf-8", "replace")
    raise PatchError(
        "\n  ".join([f"does not apply to {version}", *_rejection(said, mail.text)]),
        where=mail.where,
        remedy="its mail is format=flowed, which breaks the lines of a patch anew; take it from"
        " where it is whole, as the raw mail of an archive"
        if mail.flowed
        else "refresh the patch on this base; fuzz is never used",
    )


def _rejection(said: str, patch: bytes) -> list[str]:
    """What git complained about, then the first rejected hunk as the patch has it."""
    lines = [line.removeprefix("error: ") for line in said.splitlines() if line]
    failed = re.search(r"patch failed: (.+):(\d+)", said)
    if not failed:
        return lines[:_EXCERPT]
    text = patch.decode("utf-8", "replace")
    return [*lines[:4], *_hunk(text, failed[1], int(failed[2]))]


def _hunk(text: str, file: str, line: int) -> list[str]:
    """The hunk of a patch that starts at `line` of `file`, cut after a few lines."""
    current = ""
    hunk: list[str] = []
    for row in text.splitlines():
        if row.startswith("--- ") and not hunk:
            current = row[4:].split("\t")[0].partition("/")[2]
        elif hunk and not row.startswith((" ", "+", "-", "\\")):
            break
        if hunk or (current == file and re.match(rf"@@ -{line}[, ]", row)):
            hunk.append(row)
    return [*hunk[:_EXCERPT], *(["..."] if len(hunk) > _EXCERPT else [])]
