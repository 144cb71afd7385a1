# SPDX-License-Identifier: GPL-2.0-only
"""The chain from a base to a patched tree, on small trees made here."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from harness.errors import PatchError, SourceError
from harness.kernel import patches, source
from harness.model.base import Base
from tests.support.sources import MAKEFILE, MM, series, tarball


def base(path: Path, sha256: str, version: str = "6.12") -> Base:
    data = {"version": version, "provider": {"tarball": {"path": path, "sha256": sha256}}}
    return Base.parse(data, "base.yaml")


@pytest.fixture
def fetched(tmp_path):
    path = tmp_path / "linux.tar.xz"
    sha256 = tarball(path, {"Makefile": MAKEFILE, "mm/page.c": MM, ".gitignore": "*\n"})
    return source.fetch(base(path, sha256), tmp_path / "cache", lambda text: None)


def leftovers(cache: Path) -> list[str]:
    return [p.name for p in (cache / "sources").iterdir() if p.name != ".lock"]


def test_a_tarball_becomes_a_tree_with_every_file(fetched):
    names = fetched.repository.git("ls-tree", "-r", "--name-only", fetched.tree).stdout.split()
    assert names == [b".gitignore", b"Makefile", b"mm/page.c"]
    assert fetched.version == "6.12.1"


def test_a_known_source_is_not_read_again(fetched, tmp_path):
    (tmp_path / "linux.tar.xz").unlink()
    again = base(tmp_path / "linux.tar.xz", fetched.sha256)
    assert source.fetch(again, tmp_path / "cache", lambda text: None) == fetched


def test_a_bad_checksum_leaves_nothing(tmp_path):
    path = tmp_path / "linux.tar.xz"
    tarball(path, {"Makefile": MAKEFILE})
    with pytest.raises(SourceError, match=r"sha256 is .*, expected 0000"):
        source.fetch(base(path, "0" * 64), tmp_path / "cache", lambda text: None)
    assert leftovers(tmp_path / "cache") == []


def test_a_truncated_tarball_leaves_nothing(tmp_path):
    path = tmp_path / "linux.tar.xz"
    tarball(path, {"Makefile": MAKEFILE, "mm/page.c": MM * 500})
    path.write_bytes(path.read_bytes()[:-40])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(SourceError, match="damaged or cut short"):
        source.fetch(base(path, sha256), tmp_path / "cache", lambda text: None)
    assert leftovers(tmp_path / "cache") == []


def test_another_kernel_is_refused(tmp_path):
    path = tmp_path / "linux.tar.xz"
    sha256 = tarball(path, {"Makefile": MAKEFILE})
    with pytest.raises(SourceError, match=r"this is Linux 6\.12\.1, base\.yaml says 6\.6"):
        source.fetch(base(path, sha256, "6.6"), tmp_path / "cache", lambda text: None)


def test_a_commit_of_a_git_checkout(tmp_path):
    repo = tmp_path / "linux"
    repo.mkdir()
    (repo / "Makefile").write_text(MAKEFILE)
    me = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    for words in (["init", "-q"], ["add", "."], [*me, "commit", "-qm", "base"]):
        subprocess.run(["git", "-C", repo, *words], check=True)
    head = subprocess.run(
        ["git", "-C", repo, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    asked = Base.parse(
        {"version": "6.12", "provider": {"git": {"path": repo, "commit": head}}}, "base.yaml"
    )
    got = source.fetch(asked, tmp_path / "cache", lambda text: None)
    assert got.repository.read(got.tree, "Makefile") == MAKEFILE


def test_a_series_applies_and_is_counted(fetched, tmp_path):
    one = series(tmp_path, "one", MM, MM.replace("line 5\n", "line five\nline more\n"))
    tree = patches.apply(fetched, [one])
    assert (tree.files, tree.added, tree.removed) == (("mm/page.c",), 2, 1)
    assert "line five" in fetched.repository.read(tree.tree, "mm/page.c")
    assert patches.apply(fetched, [one]) == tree


def test_a_patch_that_does_not_apply_names_file_hunk_and_base(fetched, tmp_path):
    old = MM.replace("line 5\n", "another line\n")
    bad = series(tmp_path, "bad", old, old.replace("line 6\n", "line six\n"))
    with pytest.raises(PatchError) as caught:
        patches.apply(fetched, [bad])
    text = str(caught.value)
    assert "0001-change.patch: does not apply to 6.12.1" in text
    assert "mm/page.c:3" in text and "@@ -3" in text and "-line 6" in text


def test_fuzz_is_never_used(fetched, tmp_path):
    # GNU patch would take this with fuzz 1: only the outermost context line differs.
    old = MM.replace("line 2\n", "line two\n")
    fuzzy = series(tmp_path, "fuzzy", old, old.replace("line 5\n", "line five\n"))
    with pytest.raises(PatchError, match="does not apply"):
        patches.apply(fetched, [fuzzy])


def test_applied_twice_is_told_apart(fetched, tmp_path):
    one = series(tmp_path, "one", MM, MM.replace("line 5\n", "line five\n"))
    two = series(tmp_path, "two", MM, MM.replace("line 5\n", "line five\n"))
    with pytest.raises(PatchError, match="already applied"):
        patches.apply(fetched, [one, two])


def test_a_series_that_names_no_patch(fetched, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "series").write_text("0001-gone.patch\n")
    with pytest.raises(PatchError, match=r"series:1: no patch called 0001-gone\.patch"):
        patches.apply(fetched, [tmp_path / "s"])
    (tmp_path / "s" / "series").write_text("../linux.tar.xz\n")
    with pytest.raises(PatchError, match="outside the folder"):
        patches.apply(fetched, [tmp_path / "s"])


def test_check_out_writes_only_what_differs_and_repairs(fetched, tmp_path):
    one = series(tmp_path, "one", MM, MM.replace("line 5\n", "line five\n"))
    tree = patches.apply(fetched, [one]).tree
    folder, index = tmp_path / "work", tmp_path / "index"
    fetched.repository.check_out(fetched.tree, folder, index)
    makefile = (folder / "Makefile").stat().st_mtime_ns
    (folder / "untracked").write_text("stays")
    fetched.repository.check_out(tree, folder, index)
    assert (folder / "Makefile").stat().st_mtime_ns == makefile
    assert "line five" in (folder / "mm/page.c").read_text()
    (folder / "mm/page.c").write_text("edited by hand")
    fetched.repository.check_out(tree, folder, index)
    assert "line five" in (folder / "mm/page.c").read_text()
    assert (folder / "untracked").read_text() == "stays"
