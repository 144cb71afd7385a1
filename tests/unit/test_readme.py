# SPDX-License-Identifier: GPL-2.0-only
"""What README.md and docs/ tell people to type works.

A ```console block is run: each line that begins with ``$ `` is a command, with the lines of its
here-document. A ```yaml block whose first line is ``# PATH`` is written to that file first. A word
after ``console`` says what it needs: ``qemu`` or ``kernel``, the markers of the tests. The blocks
of a document share one copy of the checkout, in their order. Targets of make are looked up, not
run; blocks about results/reference wait for a dataset.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.checkout import ROOT

FENCE = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.M | re.S)
PARTS = ("harness", "kernel-patches", "qemu-configs", "experiments", "tests", "tools", "docs")
DOCUMENTS = (
    *(
        "README.md",
        "CONTRIBUTING.md",
        "docs/patches.md",
        "docs/adding.md",
        "docs/troubleshooting.md",
    ),
)
NEEDS = ("", "qemu", "kernel")
DATASETS = ROOT / "results" / "reference"


@dataclass(frozen=True)
class Block:
    """A fenced block: `needs` is empty, ``qemu`` or ``kernel``."""

    kind: str
    needs: str
    text: str

    @property
    def file(self) -> str | None:
        match = re.match(r"# (\S+\.yaml)\n", self.text)
        return match[1] if match and self.kind == "yaml" else None

    @property
    def commands(self) -> list[str]:
        found: list[str] = []
        inside = ""
        for line in self.text.splitlines():
            if inside:
                found[-1] += f"\n{line}"
                inside = "" if line == inside else inside
            elif line.startswith("$ "):
                found.append(line[2:])
                here = re.search(r"<<'?(\w+)'?", line)
                inside = here[1] if here else ""
        return found


def blocks(document: str) -> list[Block]:
    path = ROOT / document
    text = path.read_text() if path.is_file() else ""
    return [Block(kind, needs, body) for kind, needs, body in FENCE.findall(text)]


def run(found: list[Block], needs: str, root: Path, cache: str | None) -> None:
    """Runs, in a copy of the checkout, the commands that need just `needs`."""
    place(root)
    for block in found:
        if block.file:
            (root / block.file).write_text(block.text)
        if block.kind != "console" or block.needs != needs:
            continue
        if "results/reference" in block.text and not DATASETS.is_dir():
            continue
        for command in filter(runs_here, block.commands):
            done = shell(command, root, cache)
            # `harness doctor` may find that this host is too small: it works all the same.
            works = done.returncode == 0 or "MISSING" in done.stdout
            assert works, f"$ {command}\n{done.stdout[-3000:]}"


def runs_here(command: str) -> bool:
    """Not what CI runs already, nor what needs the virtual environment of a user."""
    return not re.match(r"make |git clone \S+$|\. \.venv|pip ", command)


def place(root: Path) -> None:
    """A copy of the checkout, with `harness` on the path."""
    root.mkdir()
    for part in PARTS:
        ignore = shutil.ignore_patterns("__pycache__")
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, root / part, ignore=ignore)
    if DATASETS.is_dir():
        shutil.copytree(DATASETS, root / "results" / "reference")
    for file in ROOT.glob("*.*"):
        if file.is_file():
            shutil.copy(file, root)
    (root / "bin").mkdir()
    for name, words in (("harness", "-m harness "), ("python", "")):
        script = root / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
        script.chmod(0o755)


def shell(command: str, root: Path, cache: str | None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}", "PYTHONPATH": str(root)}
    if cache:
        env["PAGEINIT_CACHE"] = cache
    argv = ["sh", "-euc", command]
    joined = subprocess.STDOUT
    return subprocess.run(argv, cwd=root, env=env, stdout=subprocess.PIPE, stderr=joined, text=True)


@pytest.mark.parametrize(
    ("document", "needs"),
    [
        pytest.param(d, n, marks=[getattr(pytest.mark, n)] if n else [], id=f"{d}-{n or 'light'}")
        for d in DOCUMENTS
        for n in NEEDS
        if any(b.kind == "console" and b.needs == n for b in blocks(d))
    ],
)
def test_commands_work(document: str, needs: str, tmp_path: Path) -> None:
    cache = None if needs else str(tmp_path / "cache")
    run(blocks(document), needs, tmp_path / "checkout", cache)


def test_a_command_that_fails_is_found(tmp_path: Path) -> None:
    wrong = [Block("console", "", "$ harness plan scael\n")]
    with pytest.raises(AssertionError, match="did you mean 'scale'"):
        run(wrong, "", tmp_path / "checkout", str(tmp_path / "cache"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_targets_of_make_are_there(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    known = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    commands = [c for b in blocks(document) if b.kind == "console" for c in b.commands]
    for command in commands:
        if command.startswith("make "):
            asked = {word for word in command.split("#")[0].split()[1:] if "=" not in word}
            assert asked <= known, f"{document}: $ {command}"


def test_blocks_say_what_they_need() -> None:
    wrong = [
        b for d in DOCUMENTS for b in blocks(d) if b.kind == "console" and b.needs not in NEEDS
    ]
    assert not wrong


def checked(tool: str, *words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, ROOT / "tools" / tool, "--check", *words]
    return subprocess.run(argv, capture_output=True, text=True)


def tables(*words: object) -> subprocess.CompletedProcess[str]:
    return checked("readme-tables", *words)


@pytest.mark.parametrize(
    ("tool", "picture", "word"),
    [("readme-picture", "growth", "16TiB"), ("history-picture", "history", "6.12")],
)
def test_the_picture_is_that_of_the_committed_dataset(
    tmp_path: Path, tool: str, picture: str, word: str
) -> None:
    done = checked(tool)
    assert done.returncode == 0, done.stdout + done.stderr
    drawn = (ROOT / f"docs/{picture}.svg").read_text()
    assert ElementTree.fromstring(drawn).tag.endswith("svg") and word in drawn
    (tmp_path / "other.svg").write_text(drawn.replace(word, "32TiB"))
    done = checked(tool, tmp_path / "other.svg")
    assert (done.returncode, "out of date" in done.stdout) == (1, True), done.stderr


def test_the_headline_is_that_of_the_committed_dataset() -> None:
    done = tables()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("document", ["README.md", "docs/claims.md", "docs/limits.md"])
def test_a_table_that_differs_is_found(document: str, tmp_path: Path) -> None:
    if not list(DATASETS.glob("*/summary.csv")):
        pytest.skip("no dataset is committed")
    copy = tmp_path / "README.md"
    copy.write_text(re.sub(r"(\d)([GT]iB|\.)", r"\g<1>0\2", (ROOT / document).read_text()))
    done = tables(copy)
    assert (done.returncode, "out of date" in done.stdout) == (1, True), done.stderr
