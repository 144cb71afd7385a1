# SPDX-License-Identifier: GPL-2.0-only
"""Phases of a boot by the functions that they are: what a kernel without marks is asked for."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from pathlib import Path

from pydantic import TypeAdapter

from harness.foreign import read_yaml
from harness.model.schema import Model

TABLE = Path(__file__).with_name("functions.yaml")


class PhaseFunctions(Model):
    """The functions of every phase, for kernels from a version on."""

    since: str
    phases: dict[str, tuple[str, ...]]
    """what to look for in turn; functions joined by ``+`` are a phase together"""

    @property
    def version(self) -> tuple[int, int]:
        return version_of(self.since)


def version_of(text: str) -> tuple[int, int]:
    """The first two numbers of a version; those of the oldest kernels where it has none."""
    found = re.search(r"(\d{1,4})\.(\d{1,4})", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@functools.cache
def _tables() -> tuple[PhaseFunctions, ...]:
    read = read_yaml(TABLE.read_bytes(), str(TABLE))
    found = TypeAdapter(tuple[PhaseFunctions, ...]).validate_python(read)
    return tuple(sorted(found, key=lambda table: table.version))


def phase_functions(version: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    """For each phase of a kernel what may stand for it, the best first: functions together."""
    tables = _tables()
    fits = [table for table in tables if table.version <= version_of(version)] or [tables[0]]
    return {
        phase: tuple(tuple(choice.split("+")) for choice in choices)
        for phase, choices in fits[-1].phases.items()
    }


def chosen(choices: Collection[tuple[str, ...]], ran: Collection[str]) -> tuple[str, ...]:
    """The first choice of which anything ran; empty where there is none."""
    for choice in choices:
        if found := tuple(name for name in choice if name in ran):
            return found
    return ()
