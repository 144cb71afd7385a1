# SPDX-License-Identifier: GPL-2.0-only
"""Imports go down from folder to folder; names, licences, and a quick start."""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "harness"
BENCH = PACKAGE.with_name("bench")

TESTS = PACKAGE.with_name("tests")
# What tests of tests/unit are about that are about no one module.
WHOLE = {
    "architecture": "the package",
    "audit": "tools/audit",
    "contrib": "contrib/",
    "bench": "bench/",
    "cli/main": "every command",
    "browser": "pages, as Chromium shows them",
    "damage": "a results folder from the disk to the report",
    "docs": "documents",
    "fuzz": "every parser",
    "guest/gate_probes": "programs in C, harness/guest/src",
    "horrors": "a results folder that others wrote",
    "installed": "the wheel",
    "readme": "documents, typed",
    "security": "the threat model",
    "shipped": "tools/nightly",
}

BANNED = {"utils", "util", "helpers", "manager", "common", "core", "misc"}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem[0] != "_")


def test_imports_go_down_from_folder_to_folder() -> None:
    # The order of folders stands in pyproject.toml.
    lint = Path(sys.executable).with_name("lint-imports")
    argv = [lint, "--no-cache"]
    found = subprocess.run(argv, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_names_are_nouns_of_the_field() -> None:
    assert not {p.stem for p in modules()} & BANNED


def test_a_folder_is_small_enough_to_be_known() -> None:
    folders = {path.parent for path in modules()}
    sizes = {str(f): len([p for p in f.glob("*.py") if p.stem[0] != "_"]) for f in folders}
    assert {folder: size for folder, size in sizes.items() if size > 20} == {}


def test_every_source_file_names_its_licence() -> None:
    files = [
        *PACKAGE.rglob("*.py"),
        *PACKAGE.rglob("*.[ch]"),
        *BENCH.rglob("*.py"),
        *Path(__file__).parents[1].rglob("*.py"),
    ]
    bare = [f for f in files if "SPDX-License-Identifier: GPL-2.0-only" not in f.read_text()[:200]]
    assert not bare


def test_a_test_bears_the_name_of_its_module() -> None:
    names = {str(p.relative_to(PACKAGE).with_suffix("")) for p in modules()}
    unit = TESTS / "unit"
    about = {
        str(p.relative_to(unit).with_name(p.stem.removeprefix("test_")))
        for p in unit.rglob("test_*.py")
    }
    assert not {name for name in names if not name.endswith("__init__")} - about
    assert not about - names - WHOLE.keys()
    assert WHOLE.keys() <= about


def test_no_test_module_imports_another() -> None:
    # In text as well: some tests start a Python of their own.
    line = re.compile(r"(from|import) (tests)?[.\w]*\btest_\w+")
    found = [path.name for path in TESTS.rglob("*.py") if line.search(path.read_text())]
    assert not found


def loaded(*words: str) -> set[str]:
    """The modules in memory when a command has ended."""
    code = (
        "import atexit, sys; from harness.cli import main\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        f"main({words!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return set(done.stderr.split())


def test_help_loads_no_command() -> None:
    mine = {name for name in loaded("--help") if name.startswith("harness")}
    assert mine == {"harness", "harness.cli", "harness.errors", "harness.text"}


HEAVY = {"numpy", "pandas", "scipy", "altair", "vl_convert", "jinja2", "paramiko", "asyncio"}
HEAVY |= {"distributed"}


def test_a_log_is_read_without_heavy_libraries() -> None:
    log = Path(__file__).parents[1] / "golden/console/eager-16g.log"
    found = loaded("parse", str(log))
    assert "harness.parse.outcome" in found and not found & HEAVY
