# SPDX-License-Identifier: GPL-2.0-only
"""The base's own checkpatch.pl, and what a series answers to it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import tool
from harness.errors import PatchError, SourceError
from harness.model import Model
from harness.patches import SERIES_FILE
from harness.source import Source

SCRIPTS = ("checkpatch.pl", "spelling.txt", "const_structs.checkpatch")

# The base is a tree without a history, in which every commit id is unknown.
OPTIONS = (
    *("--no-tree", "--root=.", "--strict", "--no-signoff", "--terse", "--show-types"),
    *("--no-summary", "--ignore=UNKNOWN_COMMIT_ID"),
)

_LINE = re.compile(r".*?:(\d+): (ERROR|WARNING|CHECK):([A-Z0-9_]+): (.*)")
_ANSWER = re.compile(r"#\s*checkpatch:\s*([A-Z0-9_]+)\s+(\S.*)")


class Complaint(Model):
    """What checkpatch says of a patch; `answer` is why it stands all the same, by the series."""

    line: int
    level: str
    type: str
    text: str
    answer: str | None = None

    def __str__(self) -> str:
        return f"{self.level}:{self.type}: {self.text}"


def complaints(source: Source, patches: Sequence[Path]) -> list[tuple[Complaint, ...]]:
    """What the base's checkpatch.pl says of each patch."""
    with tempfile.TemporaryDirectory(prefix="pageinit-") as name:
        folder = Path(name)
        for script in SCRIPTS:
            text = source.repository.read(source.tree, f"scripts/{script}")
            if text is None:
                raise SourceError(f"the base has no scripts/{script}")
            (folder / script).write_text(text, encoding="utf-8")
        return [_complaints(folder, patch.absolute()) for patch in patches]


def _complaints(folder: Path, patch: Path) -> tuple[Complaint, ...]:
    argv: list[str | Path] = ["perl", folder / SCRIPTS[0], *OPTIONS, patch]
    # The work tree may lie inside another repository, whose history is not the kernel's.
    done = tool.run(argv, cwd=folder, env={**os.environ, "GIT_DIR": "none"}, check=False)
    found = parse(done.stdout.decode("utf-8", "replace"))
    if done.returncode > 1 or bool(found) != bool(done.returncode):
        raise tool.failed([str(word) for word in argv], done.returncode, done.stderr)
    return found


def parse(text: str) -> tuple[Complaint, ...]:
    """The complaints in what ``checkpatch.pl --terse --show-types`` printed."""
    return tuple(
        Complaint(line=int(match[1]), level=match[2], type=match[3], text=match[4].strip())
        for match in map(_LINE.fullmatch, text.splitlines())
        if match
    )


def answers(folder: Path) -> dict[str, str]:
    """The comments ``# checkpatch: TYPE reason`` of a series, by type.

    Raises `PatchError` for one without a reason.
    """
    found = {}
    file = folder / SERIES_FILE
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not re.match(r"#\s*checkpatch\b", line):
            continue
        match = _ANSWER.fullmatch(line.strip())
        if match is None:
            said = "a checkpatch comment is: # checkpatch: TYPE reason"
            raise PatchError(said, where=f"{file}:{number}")
        found[match[1]] = match[2]
    return found


def answered(found: Sequence[Complaint], known: Mapping[str, str]) -> tuple[Complaint, ...]:
    """The same complaints, each with the answer that the series has for its type."""
    return tuple(one.model_copy(update={"answer": known.get(one.type)}) for one in found)
