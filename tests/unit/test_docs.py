# SPDX-License-Identifier: GPL-2.0-only
"""What the documents say about the code is what the code says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


def doc_tables(*words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, ROOT / "tools/doc-tables", "--check", *words]
    return subprocess.run(argv, capture_output=True, text=True)


def test_the_tables_are_those_of_the_code() -> None:
    done = doc_tables()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_table_that_differs_is_found(tmp_path: Path) -> None:
    text = (ROOT / "docs/file-formats.md").read_text()
    copy = tmp_path / "copy.md"
    copy.write_text(text.replace("| `deadline_s` | number, above 0 |", "| `deadline_s` | number |"))
    done = doc_tables(copy)
    assert (done.returncode, "out of date" in done.stdout) == (1, True), done.stderr


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
