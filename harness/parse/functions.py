# SPDX-License-Identifier: GPL-2.0-only
"""Phases of a boot by the functions that they are: what a kernel without marks is asked for."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from harness.foreign import read_yaml
from harness.model import Phase
from harness.model.schema import Model
from harness.parse.idle import IdleClock
from harness.parse.profile import Profile, Span

TABLE = Path(__file__).with_name("functions.yaml")
ZERO = "start_kernel"
"""Where the phases of a boot begin to count, as those by marks do."""
_ALONE = "smp_init"
"""Before it there is one CPU, which has always something to do."""
_TO = ".."


class PhaseFunctions(Model):
    """The functions of phases for kernels from a version on, where they are not those before it."""

    since: str
    phases: dict[str, tuple[str, ...] | None]
    """what to look for in turn, see functions.yaml; none where the phase is no more"""

    @property
    def version(self) -> tuple[int, int]:
        return version_of(self.since)


@dataclass(frozen=True)
class Choice:
    """What may stand for a phase: functions together, or what lies between two of them."""

    names: tuple[str, ...]
    between: bool = False

    @classmethod
    def of(cls, text: str) -> Choice:
        between = _TO in text
        return cls(tuple(text.split(_TO if between else "+")), between)

    def there(self, known: Collection[str]) -> tuple[str, ...]:
        """Those of its functions that are known; of an interval both ends, or none."""
        found = tuple(name for name in self.names if name in known)
        return () if self.between and len(found) < len(self.names) else found

    def span(self, spans: Mapping[str, Span]) -> Span | None:
        """When it ran; none where it did not, or did not come to its end."""
        found = [spans[name] for name in self.there(spans)]
        if self.between and found:
            first, last = found
            done = last.returns and first.first < last.last
            return Span(1, 1, first.first, last.last, last.last - first.first) if done else None
        ended = [span for span in found if span.returns == span.calls]
        return functools.reduce(Span.__or__, ended) if ended else None

    def __str__(self) -> str:
        return (_TO if self.between else "+").join(self.names)


PhaseChoices = dict[str, tuple[Choice, ...]]
"""For each phase what may stand for it, the best first."""


def version_of(text: str) -> tuple[int, int]:
    """The first two numbers of a version; those of the oldest kernels where it has none."""
    found = re.search(r"(\d{1,4})\.(\d{1,4})", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@functools.cache
def _tables() -> tuple[PhaseFunctions, ...]:
    read = read_yaml(TABLE.read_bytes(), str(TABLE))
    found = TypeAdapter(tuple[PhaseFunctions, ...]).validate_python(read)
    return tuple(sorted(found, key=lambda table: table.version))


def phase_functions(version: str) -> PhaseChoices:
    """For each phase of a kernel what may stand for it, the best first."""
    oldest, *others = _tables()
    found = dict(oldest.phases)
    for table in others:
        if table.version <= version_of(version):
            found |= table.phases
    return {
        phase: tuple(map(Choice.of, choices))
        for phase, choices in found.items()
        if choices is not None
    }


def asked() -> tuple[str, ...]:
    """Every function that stands for a phase of any kernel."""
    texts = (text for table in _tables() for each in table.phases.values() for text in each or ())
    return tuple(sorted({name for text in texts for name in Choice.of(text).names}))


def chosen(choices: Collection[Choice], ran: Collection[str]) -> tuple[str, ...]:
    """The functions of the first choice of which anything ran; empty where there is none.

    An interval has no functions.
    """
    found = (choice.there(ran) for choice in choices if not choice.between)
    return next(filter(None, found), ())


def nameless(version: str, symbols: Collection[str]) -> dict[str, tuple[Choice, ...]]:
    """Phases of a kernel with these symbols of which none has one, and what was looked for."""
    return {
        phase: choices
        for phase, choices in phase_functions(version).items()
        if not any(choice.there(symbols) for choice in choices)
    }


def phases_of(
    profile: Profile, version: str, shift: int = 0, idle: IdleClock | None = None
) -> tuple[Phase, ...]:
    """The phases of a boot by its profile, of the whole machine, in instructions of all CPUs.

    What was `idle` meanwhile is told beside them where it is known: 2^`shift` ns of the guest are
    an instruction. Empty where the boot did not come to `start_kernel`; a phase that did not come
    to its end is not there.
    """
    zero = profile.spans.get(ZERO)
    if zero is None:
        return ()

    # What the firmware waited may be noted as late as the kernel first reads the TSC.
    alone = profile.spans.get(_ALONE)
    before = idle.after(alone.first << shift) if idle and alone else 0

    def waited(span: Span) -> float | None:
        if idle is None:
            return None
        until = [max(before, idle.after(at << shift)) for at in (span.first, span.last)]
        return round((until[1] - until[0]) / (1 << shift), 9)

    found = []
    for name, choices in phase_functions(version).items():
        spans = (choice.span(profile.spans) for choice in choices)
        if span := next(filter(None, spans), None):
            found.append(
                Phase(
                    name=name,
                    source="profile",
                    start=span.first - zero.first,
                    end=span.last - zero.first,
                    busy=span.busy,
                    calls=span.calls,
                    idle=waited(span),
                )
            )
    return tuple(found)
