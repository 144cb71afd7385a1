# SPDX-License-Identifier: GPL-2.0-only
"""A series as somebody posts it: a tree of two commits, its mails, and kernels of both sides."""

import subprocess
from pathlib import Path

from harness import review
from harness.kernel.git import environment
from harness.kernel.posting import read
from harness.project import Project
from tests.support.sources import MM, built_from_source, series
from tests.support.store import keep


def git(tree: Path, *words: str) -> bytes:
    argv = ["git", "-C", str(tree), "-c", "user.name=A", "-c", "user.email=a@b", *words]
    return subprocess.run(argv, check=True, capture_output=True, env=environment()).stdout


def lay_variant(checkout: Path) -> Path:
    """Has the variant `two` of a checkout built from source, with the series `marks` in it."""
    patches = built_from_source(checkout, "series: [marks]\nboot: [x]")
    series(patches, "marks", MM, MM.replace("line 3\n", "line 3\nmark\n"))
    return checkout


def lay_tree(place: Path) -> Path:
    """A kernel tree with a tag, and on the branch `work` two commits above it."""
    folder = place / "linux"
    (folder / "mm").mkdir(parents=True)
    git(place, "init", "-q", "-b", "master", str(folder))
    text = MM
    for number, line in enumerate(("", "line 12\n", "line 18\n")):
        text = text.replace(line, line.upper()) if line else text
        (folder / "mm/page.c").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", f"mm: change {number}")
        git(folder, "tag", "v6.12") if not line else git(folder, "branch", "-f", "work")
    return folder


def write_mbox(tree: Path) -> Path:
    """The two commits of the branch, as mails."""
    path = tree.with_name("series.mbox")
    path.write_bytes(git(tree, "format-patch", "--stdout", "v6.12..work"))
    return path


def keep_kernels(place: Path, mbox: Path) -> None:
    """Puts the kernels of both sides into the store."""
    project = Project.find(place, place.parent / "cache")
    plan = review.Plan("two", ("small",))
    made, name = review.lay_out(project, read(mbox.read_bytes(), "x"), plan, place / "results")
    for variant in ("two", name):
        keep(made, made.variant(variant))
