# SPDX-License-Identifier: GPL-2.0-only
"""``harness fastpath``: what a variant changes on the way of a page, in code and when it runs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.cli.terminal import (
    add_base,
    add_examples,
    add_json,
    out,
    print_json,
    print_table,
    project,
)
from harness.errors import UserError
from harness.files import write_atomic
from harness.kernel import BASELINE, Kernels, Shapes, build, fastpath
from harness.model import TOUCHES, Variant
from harness.project import Project
from harness.report import Table

DATASETS = ("fast-path", "fast-path-zeroed")
RECORD = Path("results/reference/fast-path/functions.json")

CODE = ("path", "function", "instructions", "bytes")
ELSEWHERE = ("variant", "function", "instructions")
CHANGED = ("variant", "path", "function", "instructions", "added", "removed", "bytes")

Rows = list[Sequence[str]]
Touched = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Instructions a page by dataset, variant and pass."""


def register(parser: argparse.ArgumentParser) -> None:
    """Says what the command takes."""
    parser.description = (
        "Disassembles the functions of a page fault, of the allocation and of the"
        " freeing of a page in the kernel of each variant (default: all that are built from"
        " source), and counts what differs from the eager kernel; beside it what a touched page"
        " costs by the work clock, in guest instructions, from datasets of"
        " experiments/fast-path.yaml."
    )
    parser.add_argument(
        "variants", nargs="*", metavar="VARIANT", help="names in kernel-patches/variants/"
    )
    add_base(parser)
    parser.add_argument(
        "--results",
        type=Path,
        action="append",
        metavar="DIR",
        help="a results folder, more than one if repeated (default: the committed ones)",
    )
    parser.add_argument(
        "--write", action="store_true", help=f"keep the counts in {RECORD}, for tools/doc-tables"
    )
    add_json(parser)
    add_examples(
        parser,
        "harness fastpath zero-check   # one variant beside eager",
        "harness fastpath --base 7.3   # all that are made for another kernel source",
        "harness fastpath --write      # all, kept for the tables of docs/fast-path.md",
    )
    parser.set_defaults(action=run)


def run(arguments: argparse.Namespace) -> int:
    """Counts and shows."""
    place = project(arguments)
    base = place.chosen(arguments.base)
    if arguments.write and (arguments.variants or arguments.results or base):
        raise UserError("--write keeps all variants and the committed datasets; name none")
    reference = place.root / "results" / "reference"
    known = [path for path in (reference / name for name in DATASETS) if path.is_dir()]
    ran = touched(arguments.results or known)
    shapes = look(Kernels(place, on=base), arguments.variants)
    if arguments.write:
        write_atomic(place.root / RECORD, shapes.model_dump_json(indent=1) + "\n")
    if arguments.json:
        print_json({**shapes.model_dump(mode="json"), "instructions_per_page": ran})
        return 0
    for table in tables(shapes, ran).values():
        print_table(table)
        out.print()
    if not ran:
        out.print("no dataset of experiments/fast-path.yaml", markup=False)
    return 0


def look(kernels: Kernels, names: Sequence[str]) -> Shapes:
    """Takes the kernels of some variants apart; the baseline comes first."""
    place = kernels.project
    named = names or [variant.name for variant in place.built((), kernels.on)]
    variants = [_variant(place, name) for name in dict.fromkeys((BASELINE, *named))]
    with ExitStack() as stack:
        found, codes = [], {}
        for variant in variants:
            built = kernels.get(variant)
            assert built.system_map
            opened = fastpath.code(built.image, built.system_map)
            codes[variant.name] = stack.enter_context(opened)
            found.append((variant.name, built.kernel.kernel_id))
        return Shapes(
            base=kernels.base.version,
            toolchain=build.toolchain(kernels.chosen()),
            variants=tuple(
                fastpath.shape(name, kernel_id, codes[name], codes[BASELINE])
                for name, kernel_id in found
            ),
        )


def _variant(place: Project, name: str) -> Variant:
    variant = place.variant(name)
    if variant.prebuilt:
        raise UserError(f"{name}: a prebuilt kernel has no functions to compare")
    return variant


def touched(folders: Sequence[Path]) -> Touched:
    """What ran, by the name of the dataset's folder."""
    from harness.dataset import dataset

    return {
        folder.name: fastpath.touched(dataset.load_tables(folder)["probes"], str(folder))
        for folder in folders
    }


def tables(shapes: Shapes, ran: Touched) -> dict[str, Table]:
    """What is said of the variants, by the name of its place in the document."""
    base = f"{BASELINE}: {shapes.base}; {shapes.toolchain}"
    apart = "functions that it lacks (+), or has alone (-)"
    touch = "guest instructions a touched page (no time)"
    passes = [f"{name}: {kind}" for name in ran for kind in TOUCHES]
    return {
        "baseline": Table(CODE, baseline_rows(shapes), base, 2),
        "changes": Table(CHANGED, changed_rows(shapes), "what differs from it", 3),
        "elsewhere": Table(ELSEWHERE, elsewhere_rows(shapes), apart, 2),
        "touch": Table(("variant", *passes), touch_rows(ran), touch),
    }


def baseline_rows(shapes: Shapes) -> Rows:
    """The functions of the baseline, path by path."""
    shape = next(shape for shape in shapes.variants if shape.variant == BASELINE)
    return [(c.path, c.function, str(c.instructions), str(c.bytes)) for c in shape.changes]


def changed_rows(shapes: Shapes) -> Rows:
    """Every function that a variant changes; variants with none have one row that says so."""
    eager = next(shape for shape in shapes.variants if shape.variant == BASELINE)
    before = {change.function: change for change in eager.changes}
    rows: Rows = []
    for shape in shapes.variants:
        mine = [change for change in shape.changes if change.added or change.removed]
        for c in mine:
            old = before.get(c.function)
            counts = (f"+{c.added}", f"-{c.removed}")
            size = _beside(c.bytes, old.bytes if old else 0)
            instructions = _beside(c.instructions, old.instructions if old else 0)
            rows.append((shape.variant, c.path, c.function, instructions, *counts, size))
        if not mine and shape.variant != BASELINE:
            rows.append((shape.variant, "", "none", "", "", "", ""))
    return rows


def _beside(new: int, old: int) -> str:
    return f"{new} ({new - old:+d})"


def elsewhere_rows(shapes: Shapes) -> Rows:
    """Functions that only one of the two kernels has, with their instructions."""
    rows: Rows = []
    for shape in shapes.variants:
        rows += [(shape.variant, size.function, f"+{size.instructions}") for size in shape.new]
        rows += [(shape.variant, size.function, f"-{size.instructions}") for size in shape.gone]
    return rows


def touch_rows(ran: Touched) -> Rows:
    """A row a variant; for each dataset the passes, and what the baseline has less."""
    rows: Rows = []
    variants = dict.fromkeys(variant for found in ran.values() for variant in found)
    for variant in fastpath.in_order(list(variants)):
        cells = [_cell(found, variant, kind) for found in ran.values() for kind in TOUCHES]
        rows.append((variant, *cells))
    return rows


def _cell(found: Mapping[str, Mapping[str, float]], variant: str, kind: str) -> str:
    value = found.get(variant, {}).get(kind)
    if value is None:
        return ""
    base = found.get(BASELINE, {}).get(kind)
    return (
        f"{value:.1f}"
        if base is None or variant == BASELINE
        else f"{value:.1f} ({value - base:+.1f})"
    )
