# SPDX-License-Identifier: GPL-2.0-only
"""From a base to a tree, on small archives made here."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from harness.errors import SourceError
from harness.kernel import source
from harness.model.base import Base
from tests.support.sources import MAKEFILE, MM, base, tarball


def leftovers(cache: Path) -> list[str]:
    return [p.name for p in (cache / "sources").iterdir() if p.name != ".lock"]


def test_a_tarball_becomes_a_tree_with_every_file(fetched):
    names = fetched.repository.git("ls-tree", "-r", "--name-only", fetched.tree).stdout.split()
    assert names == [b".gitignore", b"Makefile", b"mm/page.c"]
    assert fetched.version == "6.12.1"


def test_a_known_source_is_not_read_again(fetched, tmp_path):
    (tmp_path / "linux.tar.xz").unlink()
    again = base(tmp_path / "linux.tar.xz", fetched.sha256)
    assert source.fetch(again, tmp_path / "cache") == fetched


def test_a_bad_checksum_leaves_nothing(tmp_path):
    path = tmp_path / "linux.tar.xz"
    tarball(path, {"Makefile": MAKEFILE})
    with pytest.raises(SourceError, match=r"sha256 is .*, expected 0000"):
        source.fetch(base(path, "0" * 64), tmp_path / "cache")
    assert leftovers(tmp_path / "cache") == []


def test_a_truncated_tarball_leaves_nothing(tmp_path):
    path = tmp_path / "linux.tar.xz"
    tarball(path, {"Makefile": MAKEFILE, "mm/page.c": MM * 500})
    path.write_bytes(path.read_bytes()[:-40])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(SourceError, match="damaged or cut short"):
        source.fetch(base(path, sha256), tmp_path / "cache")
    assert leftovers(tmp_path / "cache") == []


def test_another_kernel_is_refused(tmp_path):
    path = tmp_path / "linux.tar.xz"
    sha256 = tarball(path, {"Makefile": MAKEFILE})
    with pytest.raises(SourceError, match=r"this is Linux 6\.12\.1, base\.yaml says 6\.6"):
        source.fetch(base(path, sha256, "6.6"), tmp_path / "cache")


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
    got = source.fetch(asked, tmp_path / "cache")
    assert got.repository.read(got.tree, "Makefile") == MAKEFILE
