# SPDX-License-Identifier: GPL-2.0-only
"""Imports go down from folder to folder; names, licences, and a quick start."""

import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "harness"
BENCH = PACKAGE.with_name("bench")

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
