# SPDX-License-Identifier: GPL-2.0-only
"""Imports go strictly downwards, and modules and functions stay small."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "harness"
BENCH = PACKAGE.with_name("bench")

# From the top down: a module may import only those that stand below it.
ORDER = """
cli
cluster lab
dispatch outpost
scheduler
lease
fleet remote home
passage
courier
inquiry
roster
worker bundle
trial
runner
parcel
executor
session
dashboard
cases timeline
report
proof exhibits rulings reproduction locality
sections stage
plots exemplars
drawing
letter
findings
claims
figures
changes history
night
compare
suspects looks
series
analysis
dataset
limit repeats standing progress
summary
observations
table
rows package
columns
evidence
accelerator
boot
caller
visit
ssh
reply
identity trust command
breakage
vm request
workdir console
host cputime
hygiene fastpath
kernels recompile
checkpatch disassembly
kbuild
patches prebuilt initramfs counter
source
debian
repository
cache
tool pruning image
turns
ledger
results
project
lock
watch judge gate workers seats registers
facts
phases stores distance
inventory
dmesg
qemu
kconfig
experiment
variant distribution
record machine base effort
steps bisection
verdict scaling
effect
quantity
model
task attendant
supervisor
survey porter wheel
deadline
errors
"""
LEVEL = {name: n for n, line in enumerate(ORDER.split("\n")) for name in line.split()}
BANNED = {"utils", "util", "helpers", "manager", "common", "core", "misc"}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem[0] != "_")


def place(path: Path) -> str:
    """A module's name in ORDER; a package's modules share the place of the package."""
    return path.stem if path.parent == PACKAGE else path.parent.name


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found - {"__version__"}


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_imports_go_downwards(path: Path) -> None:
    here = place(path)
    assert here in LEVEL, f"give {here} a place in ORDER"
    wrong = [n for n in imports(path) if LEVEL[n] <= LEVEL[here] and n != path.parent.name]
    assert not wrong, f"{path.stem} imports {wrong}, which do not stand below it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            assert size <= 40, f"{path.stem}.{node.name} has {size} lines"


def test_names_are_nouns_of_the_field() -> None:
    assert not {p.stem for p in modules()} & BANNED


def test_every_source_file_names_its_licence() -> None:
    files = [
        *PACKAGE.rglob("*.py"),
        *PACKAGE.rglob("*.[ch]"),
        *BENCH.rglob("*.py"),
        *Path(__file__).parents[1].rglob("*.py"),
    ]
    bare = [f for f in files if "SPDX-License-Identifier: GPL-2.0-only" not in f.read_text()[:200]]
    assert not bare


def test_the_command_line_starts_without_heavy_libraries() -> None:
    code = "import sys, harness.cli; harness.cli.parser(); print(*sys.modules)"
    argv = [sys.executable, "-c", code]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "pandas", "scipy", "matplotlib", "jinja2", "paramiko"} & set(loaded)
