# SPDX-License-Identifier: GPL-2.0-only
"""What the documents say about the code is what the code says."""

import argparse
import ast
import doctest
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import cli
from harness.model.experiment import TOUCHES
from harness.model.run import Outcome
from harness.parse.phases import MARKS
from tests.support.checkout import ROOT

ANALYSIS = ROOT / "docs/analysis.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


def doc_tables(*words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, ROOT / "tools/doc-tables", *words]
    return subprocess.run(argv, capture_output=True, text=True)


def test_the_tables_are_those_of_the_code() -> None:
    done = doc_tables("--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("document", "text", "other"),
    [
        ("docs/file-formats.md", r"(\| `deadline_s` \| number), above 0", r"\1"),
        ("docs/fast-path.md", r"\| `lazy` \|.*\n", ""),
        ("kernel-patches/README.md", r"\| `lazy` \|.*\n", ""),
    ],
)
def test_a_table_that_differs_is_found_and_mended(
    tmp_path: Path, document: str, text: str, other: str
) -> None:
    right = (ROOT / document).read_text()
    copy = tmp_path / "copy.md"
    copy.write_text(re.sub(text, other, right))
    assert copy.read_text() != right
    done = doc_tables("--check", copy)
    assert (done.returncode, "out of date" in done.stdout) == (1, True), done.stderr
    assert doc_tables(copy).returncode == 0 and copy.read_text() == right


def test_the_rates_of_real_boots_are_those_of_the_dataset() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools/aa-rates", "--check"], check=False)
    assert done.returncode == 0, "run tools/aa-rates"


def test_analysis_is_what_python_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(str(ANALYSIS), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 8 and not found.failed


def test_the_boots_of_analysis_run(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a fake QEMU, and the names that its checkout has."""
    monkeypatch.setenv("PAGEINIT_CACHE", str(checkout / "cache"))
    (code,) = re.findall(r"```python\n(.*?)```", ANALYSIS.read_text(), re.DOTALL)
    for name, here in {"eager": "one", "tiny-2g": "small", "quick": "pair"}.items():
        assert f'"{name}"' in code
        code = code.replace(f'"{name}"', f'"{here}"')
    said: dict[str, Any] = {}
    exec(code, said)
    assert said["run"].judgement.outcome == "ok"
    assert set(said["dataset"].runs.outcome) == {"ok"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        path = document.parent / file if file else document
        assert path.exists(), f"{document.name}: {target}"
        if anchor:
            assert anchor in anchors(path.read_text()), f"{document.name}: {target}"


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown file's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_outcome_is_explained() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text()
    table = re.findall(r"^\| `([a-z-]+)` \|", text, re.M)
    assert sorted(table) == sorted(Outcome)


def test_messages_in_the_documents_are_those_of_the_code() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text()
    errors = text.partition("## An error before any boot")[2].partition("\n## ")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", errors, re.M)
    said = "\n".join(strings())
    assert len(messages) > 20
    assert not [message for message in messages if message not in said]


def test_phases_in_the_documents_are_those_of_the_kernel() -> None:
    text = (ROOT / "docs/measuring.md").read_text()
    table = text.partition("## Phases")[2].partition("\n## ")[0]
    patches = (ROOT / "kernel-patches/boot-marks").glob("*/0001-*.patch")
    names = {n for p in patches for n in re.findall(r'= "(\w+)",$', p.read_text(), re.M)}
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == names == set(MARKS)


def test_the_passes_of_touch_are_those_of_the_guest() -> None:
    kinds = re.search(
        r"kinds\[PASSES\] = \{(.*?)\}", (ROOT / "harness/guest/src/touch.c").read_text(), re.S
    )
    assert kinds and sorted(re.findall(r'"([\w-]+)"', kinds[1])) == sorted(TOUCHES)


def test_functions_that_the_architecture_names_are_there() -> None:
    text = " ".join((ROOT / "docs/architecture.md").read_text().split())
    named = re.findall(r"`(\w+(?:/\w+)?): ([\w.]+)`", text)
    assert len(named) > 15
    for module, path in named:
        found: object = importlib.import_module(f"harness.{module.replace('/', '.')}")
        for name in path.split("."):
            found = getattr(found, name)


def commands() -> dict[str, argparse.ArgumentParser]:
    top = cli.parser()
    (group,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    return {"harness": top, **group.choices}


@pytest.mark.parametrize("name", commands())
def test_examples_of_the_help_are_command_lines(name: str) -> None:
    epilog = (commands()[name].epilog or "").partition("examples:\n")[2]
    lines = [line.partition("harness ")[2] for line in epilog.splitlines()]
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[0] != "COMMAND":
            cli.parser().parse_args(words)


@pytest.mark.parametrize("name", commands())
def test_every_argument_of_a_command_says_what_it_is(name: str) -> None:
    actions = commands()[name]._actions
    asked = [a for a in actions if not isinstance(a, argparse._SubParsersAction)]
    assert [a.dest for a in asked if not a.help] == []


def test_every_target_of_make_is_in_its_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.M)
    assert phony
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(phony[1].split()) == set(re.findall(r"^  make (\S+)", done.stdout, re.M))
    # A target without a command does nothing, and says that it is up to date.
    assert all(
        re.search(rf"^{name}:.*\n\t", text, re.M)
        for name in phony[1].split()
        if name not in {"deps", "test"}
    )


def strings() -> list[str]:
    """Every text constant of the harness; those of an f-string and of joined literals together."""
    found = []
    for path in (ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [v.value for v in node.values if isinstance(v, ast.Constant)]
                found.append("\n".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found
