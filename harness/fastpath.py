# SPDX-License-Identifier: GPL-2.0-only
"""The way of a page through the allocator: what each variant changes in its code, and what it runs.

Code is counted in the kernel's image, function by function, beside the eager kernel's. What runs
is counted by the work clock, in the `touch` rows of a dataset: guest instructions, no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.disassembly import Code, Stream
from harness.errors import UserError
from harness.model import Model

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "eager"

PATHS: Mapping[str, tuple[str, ...]] = {
    "fault": (
        *("exc_page_fault", "handle_mm_fault", "__handle_mm_fault", "do_anonymous_page"),
        *("alloc_anon_folio", "vma_alloc_folio_noprof", "alloc_pages_mpol_noprof"),
        *("folio_add_new_anon_rmap",),
    ),
    "allocate": (
        *("__alloc_pages_noprof", "get_page_from_freelist", "rmqueue", "rmqueue_pcplist"),
        *("__rmqueue_pcplist", "rmqueue_bulk", "prep_new_page", "post_alloc_hook"),
    ),
    "free": (
        *("free_unref_page", "free_unref_folios", "free_pages_prepare", "free_unref_page_commit"),
        *("free_pcppages_bulk", "__free_one_page"),
    ),
}
"""The functions of a fault on anonymous memory and of pages of order 0, as far as the compiler
leaves them to be functions of their own. One that calls another holds none of its instructions."""

PASSES = ("first-touch", "retouch-mapped", "touch-recycled")
"""The passes of the probe `touch`, in their order."""


class Size(Model):
    """A function of one kernel alone."""

    function: str
    instructions: int


class Change(Model):
    """A function beside that of the baseline.

    `added` and `removed` are the least that turns one stream of mnemonics into the other.
    """

    path: str
    function: str
    instructions: int
    bytes: int
    added: int
    removed: int


class Shape(Model):
    """The code of one variant: what changed on the way, and what is new or gone elsewhere."""

    variant: str
    kernel_id: str
    changes: tuple[Change, ...]
    new: tuple[Size, ...]
    gone: tuple[Size, ...]


class Shapes(Model):
    """The code of several variants, as one compiler made it from one base."""

    base: str
    toolchain: str
    variants: tuple[Shape, ...]


def shape(variant: str, kernel_id: str, code: Code, baseline: Code) -> Shape:
    """Sets the code of a kernel beside the baseline's."""
    changes = []
    for path, functions in PATHS.items():
        for name in functions:
            old, new = baseline.stream(name), code.stream(name)
            if not old and not new:
                continue
            added, removed = edits(old, new)
            size = sum(part.end - part.start for part in code.parts(name))
            change = Change(
                **{"path": path, "function": name, "instructions": len(new), "bytes": size},
                **{"added": added, "removed": removed},
            )
            changes.append(change)
    return Shape(
        variant=variant,
        kernel_id=kernel_id,
        changes=tuple(changes),
        new=_only(code, baseline),
        gone=_only(baseline, code),
    )


def _only(code: Code, other: Code) -> tuple[Size, ...]:
    """The functions that one kernel has and another lacks."""
    return tuple(
        Size(function=name, instructions=len(code.stream(name)))
        for name in sorted(code.names - other.names)
    )


def edits(old: Stream, new: Stream) -> tuple[int, int]:
    """How many items have to be added and removed, at least, to turn one sequence into another.

    Eugene Myers, An O(ND) Difference Algorithm and Its Variations (1986): the forward search.
    """
    furthest = {1: 0}
    for distance in range(len(old) + len(new) + 1):
        for diagonal in range(-distance, distance + 1, 2):
            down = diagonal == -distance or (
                diagonal != distance and furthest[diagonal - 1] < furthest[diagonal + 1]
            )
            x = furthest[diagonal + 1] if down else furthest[diagonal - 1] + 1
            y = x - diagonal
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            furthest[diagonal] = x
            if x >= len(old) and y >= len(new):
                grown = len(new) - len(old)
                return (distance + grown) // 2, (distance - grown) // 2
    raise AssertionError("a sequence becomes another by removing and adding all")


def touched(probes: pd.DataFrame, where: str) -> dict[str, dict[str, float]]:
    """Instructions a page by variant and pass, from the rows of single threads.

    The work clock runs all CPUs in turn: the span of one of several threads holds what the others
    did meanwhile. Raises `UserError` for a dataset without `touch`, or with several threads.
    """
    rows = probes[(probes["probe"] == "touch") & (probes["clock"] == "work")]
    rows = rows[rows["instructions_per_page"].notna() & (rows["outcome"] == "ok") & ~rows["warmup"]]
    if rows.empty:
        raise UserError("no touch by the work clock", where=where)
    if (rows["thread"] > 0).any():
        raise UserError(
            "touch ran in several threads, whose spans hold each other's work",
            where=where,
            remedy="take a dataset of experiments/fast-path.yaml, or set touch_threads: 1",
        )
    found: dict[str, dict[str, float]] = {}
    for (variant, kind), group in rows.groupby(["variant", "name"], sort=False, observed=True):
        values = group["instructions_per_page"].unique()
        if len(values) > 1:
            raise UserError(
                f"{variant}: {kind} differs from boot to boot or machine to machine", where=where
            )
        found.setdefault(str(variant), {})[str(kind)] = float(values[0])
    return found


def in_order(names: Sequence[str]) -> list[str]:
    """Variants with the baseline first."""
    return sorted(names, key=lambda name: name != BASELINE)
