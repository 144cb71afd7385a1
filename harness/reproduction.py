# SPDX-License-Identifier: GPL-2.0-only
"""How to boot each cell again: the report's section with the exact line of QEMU."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from harness.errors import ResultsError
from harness.figures import Cell
from harness.results import Results, read_text
from harness.sections import Section
from harness.stage import Stage

CACHE = '"${PAGEINIT_CACHE:-$HOME/.cache/pageinit}"'
_CACHED = re.compile(r"/.*(/(?:kernels|initramfs)/[\w.-]+/[\w.-]+)")
"""A file of the cache: its name holds the hash of what it is, wherever the cache lies."""


def reproduction(stage: Stage, results: Results) -> Section:
    """A block for each cell; nothing where no evidence is at hand."""
    blocks = []
    for _, _, cells in stage.groups():
        for cell in cells:
            if lines := list(_block(stage, cell, results)):
                blocks.append((" · ".join((stage.who[cell[0]].name, *cell[1:])), "\n".join(lines)))
    lock = stage.dataset.lock
    name = lock.experiment.name if lock else "EXPERIMENT"
    notes = (
        f"All of it again: harness run experiments/{name}.yaml. One boot by hand: the line of QEMU"
        " below, with the console on the terminal and what the probes say in probes.jsonl. The"
        " kernel and the initramfs are named by what they are made of; harness build makes them"
        " where they are missing. Seconds depend on the host; counts of the work clock do not.",
    )
    return Section("How to reproduce each cell", notes if blocks else (), excerpts=tuple(blocks))


def _block(stage: Stage, cell: Cell, results: Results) -> Iterator[str]:
    seen = stage.chosen[cell]
    try:
        argv = _words(read_text(results.path / seen.evidence / "qemu.sh"))
    except ResultsError:
        return
    if not argv:
        return
    lock = stage.dataset.lock
    if lock and not (lock.experiment.gated or lock.experiment.search):
        yield f"harness build {shlex.quote(cell[0])}"
    yield from _command(argv)


def _words(script: str) -> list[str]:
    """The words behind ``exec``; none where this is no script of ours."""
    _, found, command = script.partition("\nexec ")
    try:
        return shlex.split(command.replace("\\\n", "")) if found else []
    except ValueError:
        return []


def _command(argv: Sequence[str]) -> Iterator[str]:
    """An option and its value a line."""
    lines = [argv[0]]
    for word in argv[1:]:
        quoted = _quoted(word)
        if word.startswith("-") or lines[-1].count(" ") or lines[-1] == argv[0]:
            lines.append(quoted)
        else:
            lines[-1] += f" {quoted}"
    yield from (f"{line} \\" for line in lines[:-1])
    yield lines[-1]


def _quoted(word: str) -> str:
    match = _CACHED.fullmatch(word)
    return CACHE + shlex.quote(match[1]) if match else shlex.quote(word)
