# SPDX-License-Identifier: GPL-2.0-only
"""What `--json` prints, command by command, as types; docs/schemas has them as JSON Schema.

A key that is not here is not printed, and a key without a default is always there. Commands do not
load this: pydantic makes the schemas, and tests hold the answers to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from pydantic.json_schema import WithJsonSchema
from typing_extensions import TypedDict

from harness.compare import COLUMNS, CompareOptions
from harness.compare.compare import Defect, Gap
from harness.compare.stopping import Look
from harness.compare.warnings import Suspect
from harness.dataset import Column
from harness.dataset.columns import LIMITS
from harness.errors import Failure
from harness.gate.checks import Check
from harness.host import Diagnosis
from harness.hosts.doctor import Survey
from harness.kernel import Record, Shapes
from harness.model import Clock, Event, Kernel, Outcome, Phase, Run
from harness.nightly.changes import Change, Counts
from harness.review import Word
from harness.run.progress import Running

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}
_closed = with_config(ConfigDict(extra="forbid"))


def _record(columns: Sequence[Column], required: Sequence[str], nullable: bool = False) -> Any:
    """A row of a table, with what its columns mean."""
    keys: dict[str, Any] = {}
    for column in columns:
        kind = _TYPES[column.type]
        unit = {"x-unit": column.unit} if column.unit else {}
        told = [kind, "null"] if nullable else kind
        keys[column.name] = {"type": told, "description": column.description, **unit}
    schema = {"type": "object", "properties": keys, "required": [*required]}
    return Annotated[dict[str, Any], WithJsonSchema(schema | {"additionalProperties": False})]


@_closed
class Tried(TypedDict):
    """A point of a bisection that was measured."""

    index: int
    point: str
    value: float | None
    verdict: Literal["good", "bad", "skip", "first bad"]
    why: str


@_closed
class Bisected(TypedDict):
    """`harness bisect`: one suspect is to blame, several could not be told apart."""

    suspects: list[str]
    tried: list[Tried]
    explanation: NotRequired[str]


@_closed
class Unbuilt(TypedDict):
    """A kernel that could not be built."""

    error: str


class Built(Kernel):
    """A kernel, and where its image lies."""

    image: str


@_closed
class Comparison(TypedDict):
    """`harness compare`."""

    baseline: str | None
    paired: bool
    options: CompareOptions
    families: list[str]
    rows: list[_record(COLUMNS, ("kind", "variant", "verdict"))]  # type: ignore[valid-type]
    defects: list[Defect]
    gaps: list[Gap]
    growth: list[dict[str, Any]]
    suspects: list[Suspect]


@_closed
class Compared(Comparison):
    """`harness compare`, with what was looked at while blocks were added."""

    looks: list[Look]


class Shaped(Shapes):
    """`harness fastpath`."""

    instructions_per_page: dict[str, dict[str, dict[str, float]]]


@_closed
class Gated(TypedDict):
    """`harness gate`."""

    results: str
    went_wrong: dict[str, str]
    checks: list[Check]


@_closed
class Examined(TypedDict):
    """A host, of `harness hosts check`."""

    host: str
    fit: bool
    failure: Failure | None
    took_s: float
    checks: list[Diagnosis]
    survey: Survey | None


@_closed
class Limited(TypedDict):
    """`harness limit`."""

    results: str
    limits: list[_record(LIMITS, ("variant",), nullable=True)]  # type: ignore[valid-type]
    unread: list[str]


@_closed
class Culprit(TypedDict):
    """A regression of a night, the command that bisects it, and what that found."""

    variant: str
    machine: str
    figure: str
    why: str
    command: str | None
    found: str | None


@_closed
class Reported(TypedDict):
    """`harness nightly`."""

    number: int
    date: str
    status: int
    counts: Counts
    changes: list[Change]
    bisections: list[Culprit]
    report: str
    damaged: list[str]


@_closed
class Pruned(TypedDict):
    """`harness nightly --prune`."""

    removed: list[str]
    bytes: int


@_closed
class Parsed(TypedDict):
    """`harness parse`. Text is the guest's."""

    outcome: Outcome
    reason: str
    emulator_defect: str | None
    banner: str | None
    version: str | None
    boots: int
    earlier: list[Outcome]
    command_line: str | None
    phases: list[Phase]
    missing: list[str]
    last_phase: str | None
    last_stamp_s: float | None
    early_stamps_unknown: int
    lines: int
    truncated: bool
    excerpt: list[str]


@_closed
class PlannedCell(TypedDict):
    """What one variant on one machine by one clock will take."""

    variant: str
    machine: str
    clock: Clock
    memory_bytes: int
    host_memory_bytes: int
    seconds_about: float
    fits: bool
    obstacle: str | None
    argv: list[str]


@_closed
class Cost(TypedDict):
    """What all of it will take. `findable`: blocks to the slowdown of each figure they find."""

    boots: int
    kernels_to_build: list[str]
    seconds_about: int
    disk_bytes_about: int
    memory_available_bytes: int
    findable: dict[str, dict[str, float]]


@_closed
class Planned(TypedDict):
    """`harness plan`."""

    cells: list[PlannedCell]
    cost: Cost


@_closed
class Done(TypedDict):
    """`harness run`."""

    results: str
    failed: int
    not_the_same: list[str]
    looks: NotRequired[list[str]]


@_closed
class Failed(TypedDict):
    """A boot that went wrong."""

    key: str
    outcome: str
    reason: str


@_closed
class Seen(TypedDict):
    """`harness status`. `writer` is the process that boots, if any."""

    done: int
    left: int
    cells: int
    cells_done: int
    outcomes: dict[str, int]
    damaged: int
    running: list[Running]
    failures: list[Failed]
    seconds_left_about: int | None
    writer: int | None


@_closed
class FunctionCost(TypedDict):
    """A function of a boot; guest instructions."""

    function: str
    own: int
    total: int
    calls: int


@_closed
class Profiled(TypedDict):
    """A boot, or a phase of it, by function: the most expensive of its own first.

    Where `event` says so, stores or misses are counted in the place of instructions.
    """

    variant: str
    machine: str
    base_version: str | None
    outcome: Outcome
    phase: str | None
    whole: bool
    event: Event
    instructions: int
    functions: list[FunctionCost]


@_closed
class FunctionChanged(TypedDict):
    """A function of two boots; guest instructions of its own."""

    function: str
    base: int
    new: int
    difference: int


@_closed
class Explained(TypedDict):
    """What differs, the largest difference first."""

    instructions: int
    in_words: str
    functions: list[FunctionChanged]


@_closed
class ProfileAnswer(TypedDict):
    """`harness profile`: the boot that was asked for, and the one of --against behind it."""

    boots: list[Profiled]
    difference: NotRequired[Explained]


@_closed
class Tried_(TypedDict):  # noqa: N801, a command is called try
    """`harness try`."""

    series: str
    verdict: Word
    results: str
    sentences: list[str]
    comparison: Comparison


ANSWERS: Mapping[str, Any] = {
    "bisect": Bisected,
    "boot": Run,
    "build": dict[str, Built | Unbuilt],
    "collate": Annotated[list[dict[str, str]], Field(description="the medians, as the table")],
    "compare": Compared,
    "doctor": list[Diagnosis],
    "fastpath": Shaped,
    "gate": Gated,
    "hosts": list[Examined],
    "limit": Limited,
    "nightly": Reported | Pruned,
    "parse": Parsed,
    "patches": Record,
    "plan": Planned,
    "profile": ProfileAnswer,
    "run": Done,
    "status": Seen,
    "try": Tried_,
}
"""Of each command that has `--json`."""


def schema(command: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a command's answer."""
    made = TypeAdapter(ANSWERS[command]).json_schema()
    made = {"$schema": DIALECT, "$id": f"{command}.schema.json", **made}
    return made | {"title": f"harness {command} --json"}
