# SPDX-License-Identifier: GPL-2.0-only
"""The way of a page through the allocator: what each variant changes in its code, and what it runs.

Code is counted in the kernel's image, function by function, beside the eager kernel's. What runs
is counted by the work clock, in the `touch` rows of a dataset: guest instructions, no time.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import process
from harness.errors import UserError
from harness.files import scratch
from harness.kernel.image import vmlinux
from harness.kernel.symbols import SystemMap
from harness.model import Model

if TYPE_CHECKING:
    import pandas as pd


Stream = tuple[str, ...]
"""The mnemonics of a function, in order."""

_LINE = re.compile(r"^\s*([0-9a-f]+):\t(.*)$")
_PREFIXES = {
    "lock",
    "rep",
    "repz",
    "repnz",
    "data16",
    "notrack",
    "cs",
    "ds",
    "es",
    "fs",
    "gs",
    "ss",
}
_PADDING = re.compile(r"(?:(?:data16|cs) )*(?:nop[wl]?|int3)|xchg\s+%ax,%ax")
_SUFFIX = re.compile(r"\.(?:cold|(?:isra|part|constprop)\.\d+)")


@dataclass(frozen=True)
class Function:
    """A part of a function, as the compiler left it: ``NAME``, ``NAME.cold``, ``NAME.isra.0``…"""

    name: str
    start: int
    end: int

    @property
    def base(self) -> str:
        """The name in the source."""
        return _SUFFIX.sub("", self.name)


def functions(system_map: str) -> list[Function]:
    """The functions of a kernel that stay in memory, by address, from its System.map."""
    known = SystemMap.read(system_map)
    first, end = (known.addresses.get(name, 0) for name in ("_text", "_etext"))
    # There is always a next one: _etext, at the latest.
    return [
        Function(symbol.name, symbol.address, known.end(symbol.address))
        for symbol in known.symbols
        if symbol.is_code and first <= symbol.address < end
    ]


@dataclass(frozen=True)
class Code:
    """The code of a kernel: an ELF file on disk, and where its functions lie."""

    elf: Path
    functions: tuple[Function, ...]

    @property
    def names(self) -> frozenset[str]:
        """The functions that there are, by the names in the source."""
        return frozenset(function.base for function in self.functions)

    def parts(self, name: str) -> list[Function]:
        """What the compiler made of a function; empty where all of it went into others."""
        return sorted((f for f in self.functions if f.base == name), key=lambda f: f.name)

    def stream(self, name: str) -> Stream:
        """The instructions of a function and its parts, without what pads them."""
        return tuple(word for part in self.parts(name) for word in self._disassemble(part))

    def _disassemble(self, part: Function) -> Stream:
        bounds = (f"--start-address={part.start:#x}", f"--stop-address={part.end:#x}")
        argv: list[str | Path] = ["objdump", "-d", "--no-show-raw-insn", *bounds, self.elf]
        return mnemonics(process.run(argv).stdout.decode("utf-8", "replace"))


@contextlib.contextmanager
def code(image: Path, system_map: Path) -> Iterator[Code]:
    """Unpacks a kernel for as long as it is looked at."""
    with scratch() as folder:
        elf = folder / "vmlinux"
        elf.write_bytes(vmlinux(image.read_bytes(), str(image)))
        yield Code(elf, tuple(functions(system_map.read_text(encoding="utf-8"))))


def mnemonics(listing: str) -> Stream:
    """The mnemonics in what ``objdump -d`` printed, prefixes included, operands not."""
    lines = [match[2].strip() for match in map(_LINE.match, listing.splitlines()) if match]
    while lines and _PADDING.match(lines[-1]):
        lines.pop()
    return tuple(_mnemonic(line) for line in lines if line)


def _mnemonic(line: str) -> str:
    words = line.split()
    count = 1
    while count < len(words) and words[count - 1] in _PREFIXES:
        count += 1
    return " ".join(words[:count])


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


class Size(Model):
    """A function of one kernel alone."""

    function: str
    instructions: int


class FunctionChange(Model):
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
    changes: tuple[FunctionChange, ...]
    new: tuple[Size, ...]
    gone: tuple[Size, ...]


class Shapes(Model):
    """The code of several variants, as one compiler made it from one base."""

    base: str
    toolchain: str
    variants: tuple[Shape, ...]


def shape(
    variant: str,
    kernel_id: str,
    code: Code,
    baseline: Code,
    paths: Mapping[str, Sequence[str]] = PATHS,
) -> Shape:
    """Sets the code of a kernel beside the baseline's: the functions of `paths`."""
    changes = []
    for path, functions in paths.items():
        for name in functions:
            old, new = baseline.stream(name), code.stream(name)
            if not old and not new:
                continue
            added, removed = edits(old, new)
            size = sum(part.end - part.start for part in code.parts(name))
            change = FunctionChange(
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

    Of GNU diff, because its ``-d`` leaves no line out of the search; `git diff --minimal` does
    where a line is frequent (xdiff/xprepare.c), and instructions are.
    """
    shown = ("--old-line-format=-", "--new-line-format=+", "--unchanged-line-format=")
    with scratch() as folder:
        files = [folder / name for name in ("old", "new")]
        for path, stream in zip(files, (old, new), strict=True):
            path.write_text("".join(f"{word}\n" for word in stream), encoding="utf-8")
        argv = ["diff", "--minimal", "--text", *shown, *map(str, files)]
        done = process.run(argv, check=False)
        if done.returncode > 1:
            raise process.failed(argv, done.returncode, done.stderr)
    return done.stdout.count(b"+"), done.stdout.count(b"-")


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
