# SPDX-License-Identifier: GPL-2.0-only
"""Every prefix of a series, on the real base: a good series, and one with every fault there is."""

import difflib
import json
import shutil
from pathlib import Path

import pytest

from harness import files
from harness.cli import main
from harness.kernel.store import Kernels
from tests.support.real import ROOT

FILE = "init/boot_marks.c"
CHANGES = (
    ("a variable that nobody reads", "\nstatic int nobody_reads_this;\n"),
    ("an untidy function", "\nint __init untidy( void )\n{\n\treturn 0 ;\n}\n"),
    ("what is no C", "\nthis is no C;\n"),
)
VARIANT = """
description: a series with every fault there is
series: [boot-marks, faulty]
fragments: [base, memory]
"""
STRANGE = """
--- a/mm/mm_init.c
+++ b/mm/mm_init.c
@@ -10,3 +10,3 @@
 #include <linux/init.h>
-#include <linux/what-nobody-wrote.h>
+#include <linux/nor-this.h>
 #include <linux/export.h>
"""


def mail(title: str, diff: str) -> str:
    head = f"From: A Developer <developer@example.org>\nSubject: [PATCH] init: {title}\n"
    return f"{head}\nIt is here to be found, and for no other reason.\n---\n{diff}"


@pytest.fixture
def checkout(tmp_path: Path, kernels: Kernels) -> Path:
    """This checkout with a series more: the first patch warns, the last does not apply."""
    for folder in ("kernel-patches", "qemu-configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    series = tmp_path / "kernel-patches/faulty"
    series.mkdir()
    tree = kernels.tree(kernels.project.variant("eager")).tree
    text = kernels.base.repository.read(tree, FILE)
    assert text
    for number, (title, more) in enumerate(CHANGES, 1):
        old, new = (t.splitlines(keepends=True) for t in (text, text + more))
        diff = "".join(difflib.unified_diff(old, new, f"a/{FILE}", f"b/{FILE}"))
        (series / f"{number}.patch").write_text(mail(title, diff))
        text += more
    (series / "4.patch").write_text(mail("a change of what is not there", STRANGE))
    (series / "series").write_text(
        "# checkpatch: LONG_LINE none is\n1.patch\n2.patch\n3.patch\n4.patch\n"
    )
    (tmp_path / "kernel-patches/variants/faulty.yaml").write_text(VARIANT)
    return tmp_path


def look(root: Path, cache: Path, capsys: pytest.CaptureFixture[str], *words: str):
    status = main(["--root", str(root), "--cache", str(cache), "patches", "--json", *words])
    return status, json.loads(capsys.readouterr().out)["series"]


def test_a_good_series_has_no_problem_and_is_not_built_twice(project, kernels, capsys):
    words = ("node-migrate",)
    first = look(ROOT, project.cache, capsys, *words)
    status, (found,) = first
    assert (status, found["problems"]) == (0, [])
    assert all(prefix["built"] for prefix in found["prefixes"])
    folder = kernels.base.folder
    with files.locked(project.cache / "work" / folder.name / ".lock"):
        # A build would wait for this lock for ever.
        assert look(ROOT, project.cache, capsys, *words) == first


def test_every_fault_is_named_with_its_patch(checkout, project, capsys):
    status, (found,) = look(checkout, project.cache, capsys, "faulty")
    assert status == 1
    first, second, third = found["prefixes"]
    assert [prefix["built"] for prefix in found["prefixes"]] == [True, True, False]
    (warning,) = first["warnings"]
    assert "init/boot_marks.c" in warning and "nobody_reads_this" in warning
    # The warning of the first patch is one of every prefix that holds it.
    assert warning.partition(": ")[2] in "\n".join(second["warnings"])
    assert not first["complaints"]
    types = {complaint["type"] for complaint in second["complaints"]}
    assert {"SPACING"} <= types
    broken = next(p for p in found["problems"] if p.startswith("3.patch"))
    assert "does not compile" in broken and "unknown type name" in broken
    text = "\n".join(found["problems"])
    assert "1.patch: new warning" in text and "2.patch: ERROR:SPACING" in text
    assert "4.patch: does not apply" in text and "what-nobody-wrote.h" in text
    assert "series: checkpatch does not say LONG_LINE" in text
    assert third["added"] == 2
