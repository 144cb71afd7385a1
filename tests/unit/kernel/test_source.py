# SPDX-License-Identifier: GPL-2.0-only
"""From a base to a tree, on small archives made here."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from harness.errors import HostError, SourceError, UserError
from harness.kernel import debian, source
from harness.model.base import Base, DebianSource
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
    with pytest.raises(SourceError, match=r"this is Linux 6\.12\.1, 6\.12\.yaml says 6\.6"):
        source.fetch(base(path, sha256, "6.6"), tmp_path / "cache")


@pytest.fixture
def checked_out(tmp_path):
    """A git repository of somebody with a tag of each kind, and the id of its one commit."""
    repo = tmp_path / "linux"
    repo.mkdir()
    (repo / "Makefile").write_text(MAKEFILE)
    me = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    for words in (
        *(["init", "-q", "-b", "topic/mm"], ["add", "."], [*me, "commit", "-qm", "base"]),
        *(["tag", "light"], [*me, "tag", "-a", "-m", "x", "v6.12.1"]),
    ):
        subprocess.run(["git", "-C", repo, *words], check=True)
    return repo, ask(repo, "rev-parse", "HEAD")


def ask(repo, *words):
    argv = ["git", "-C", repo, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def git_base(repo, commit, **more) -> Base:
    git = {"path": repo, "commit": commit, **more}
    keys = {"name": "6.12", "version": "6.12", "provider": {"git": git}}
    return Base.parse(keys, "6.12.yaml")


def test_a_commit_of_a_git_checkout(checked_out, tmp_path, caplog):
    repo, head = checked_out
    got = source.fetch(git_base(repo, head), tmp_path / "cache")
    assert got.repository.read(got.tree, "Makefile") == MAKEFILE
    assert source.cached(git_base(repo, head), tmp_path / "cache") == got
    assert not caplog.records or "not committed" not in caplog.text


def test_what_is_not_committed_is_named_and_no_part_of_the_base(checked_out, tmp_path, caplog):
    repo, head = checked_out
    (repo / "Makefile").write_text(MAKEFILE + "# mine\n")
    (repo / "new.c").write_text("")
    for _ in range(2):  # from the cache too
        caplog.clear()
        got = source.fetch(git_base(repo, head), tmp_path / "cache")
        assert f"{repo}: Makefile, new.c: not committed, and no part of the base" in caplog.text
    assert got.repository.read(got.tree, "Makefile") == MAKEFILE


@pytest.mark.parametrize("url", [False, True])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("topic/mm", "a branch"),
        ("light", "a tag"),
        ("v6.12.1", "an annotated tag"),
        ("HEAD", "a reference"),
    ],
)
def test_a_name_in_the_place_of_a_commit_is_told_what_it_is(checked_out, tmp_path, name, kind, url):
    repo, head = checked_out
    asked = git_base(None, name, url=f"file://{repo}") if url else git_base(repo, name)
    assert source.cached(asked, tmp_path / "cache") is None
    with pytest.raises(SourceError, match=f"{name} is {kind}, of commit {head} today") as caught:
        source.fetch(asked, tmp_path / "cache")
    assert caught.value.remedy == f"write `commit: {head}`"


def test_a_short_id_and_the_id_of_a_tag_are_told_the_full_one(checked_out, tmp_path):
    repo, head = checked_out
    with pytest.raises(SourceError, match=f"{head[:9]} is a short id, of commit {head}"):
        source.fetch(git_base(repo, head[:9]), tmp_path / "cache")
    tag = ask(repo, "rev-parse", "v6.12.1")
    with pytest.raises(SourceError, match=f"{tag} is an annotated tag, of the commit {head}"):
        source.fetch(git_base(repo, tag), tmp_path / "cache")
    with pytest.raises(SourceError, match="is no commit"):
        source.fetch(git_base(repo, ask(repo, "rev-parse", "HEAD:Makefile")), tmp_path / "cache")
    with pytest.raises(SourceError, match="there is no 0000"):
        source.fetch(git_base(repo, "0" * 40), tmp_path / "cache")
    with pytest.raises(SourceError, match="nowhere is no full id, and no branch or tag"):
        source.fetch(git_base(repo, "nowhere"), tmp_path / "cache")
    assert not list((tmp_path / "cache/sources").glob("git-*"))


@pytest.mark.parametrize("commit", ["-x", "a b", "", "a;b", "--upload-pack=x", "a\nb"])
def test_what_can_be_no_name_of_a_commit_is_refused(tmp_path, commit):
    with pytest.raises(UserError, match="is not the id of a commit"):
        git_base(tmp_path, commit)


def test_a_base_in_the_cache_is_still_the_version_that_is_asked_for(tmp_path):
    path = tmp_path / "linux.tar.xz"
    sha256 = tarball(path, {"Makefile": MAKEFILE})
    source.fetch(base(path, sha256), tmp_path / "cache")
    for ask_for in (source.fetch, source.cached):
        with pytest.raises(SourceError, match=r"this is Linux 6\.12\.1, 6\.12\.yaml says 6\.6"):
            ask_for(base(path, sha256, "6.6"), tmp_path / "cache")


@pytest.mark.parametrize("where", ["../../sources/linux.tar.xz", "~/sources/linux.tar.xz"])
def test_a_path_is_found_from_its_file_whatever_the_folder(tmp_path, monkeypatch, where):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")
    path = tmp_path / "sources/linux.tar.xz"
    path.parent.mkdir()
    sha256 = tarball(path, {"Makefile": MAKEFILE})
    file = tmp_path / "checkout/kernel-patches/6.12.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f"version: '6.12'\nprovider: {{tarball: {{path: {where}, sha256: {sha256}}}}}\n"
    )
    asked = Base.load(file)
    assert asked.provider.tarball and asked.provider.tarball.path.samefile(path)
    assert source.fetch(asked, tmp_path / "cache").version == "6.12.1"


def test_the_home_of_nobody_is_one_error(tmp_path):
    file = tmp_path / "6.12.yaml"
    commit = "0" * 40
    file.write_text(
        f"version: '6.12'\nprovider: {{git: {{path: ~nobody-at-all/x, commit: '{commit}'}}}}\n"
    )
    with pytest.raises(UserError, match="~nobody-at-all/x: no such home folder"):
        Base.load(file)


def branch(repo, name, **more) -> Base:
    git = {"path": repo, "revision": name, **more}
    return Base.parse({"name": "mine", "version": "6", "provider": {"git": git}}, "mine.yaml")


@pytest.mark.parametrize("name", ["topic/mm", "light", "v6.12.1", "HEAD"])
def test_a_branch_is_the_commit_that_it_is_today(checked_out, tmp_path, name):
    repo, head = checked_out
    got = source.fetch(branch(repo, name), tmp_path / "cache")
    assert got.origin == f"{repo} {head}" and got.version == f"6.12.1-g{head[:12]}"
    assert source.cached(branch(repo, name), tmp_path / "cache") == got


def test_a_branch_that_moved_is_another_source(checked_out, tmp_path, caplog):
    repo, _ = checked_out
    asked, cache = branch(repo, "topic/mm"), tmp_path / "cache"
    first = source.fetch(asked, cache)
    (repo / "new.c").write_text("int x;\n")
    with pytest.raises(SourceError, match=r"not committed: new\.c") as caught:
        source.fetch(asked, cache)
    assert "commit it, or `git stash`" in caught.value.remedy
    me = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    ask(repo, "add", ".")
    ask(repo, *me, "commit", "-qm", "more")
    second = source.fetch(asked, cache)
    assert second.tree != first.tree and second.version != first.version
    # Without the repository it is what it was.
    repo.rename(tmp_path / "away")
    assert source.fetch(asked, cache) == second
    assert "as it was before" in caplog.text
    with pytest.raises(HostError):
        source.fetch(branch(repo, "other"), cache)


def test_a_revision_that_a_shallow_clone_lacks(checked_out, tmp_path):
    repo, head = checked_out
    shallow = tmp_path / "shallow"
    argv = ["git", "clone", "-q", "--depth=1", "--no-tags", f"file://{repo}", shallow]
    subprocess.run(argv, check=True)
    assert source.fetch(branch(shallow, "topic/mm"), tmp_path / "cache").origin.endswith(head)
    with pytest.raises(SourceError, match="no light, and this clone is shallow") as caught:
        source.fetch(branch(shallow, "light"), tmp_path / "cache")
    assert "git fetch --unshallow" in caught.value.remedy


def test_a_git_source_is_a_commit_or_a_revision(tmp_path):
    with pytest.raises(UserError, match="give either commit or revision"):
        branch(tmp_path, "x", commit="0" * 40)


class Archive:
    """Packages that apt would know, by version to hash."""

    def __init__(self, **versions):
        self.versions = versions

    def lookup(self, name, version=None, *_, **__):
        version = version or next(iter(self.versions), None)
        if version not in self.versions:
            raise SourceError(f"{name} {version} is not in the archive")
        return debian.Package(name, version, self.versions[version], 1)


PINS = {"a": "a" * 64, "b": "b" * 64}


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"9": "9" * 64, **PINS}, "a"),
        ({"9": "9" * 64, "b": PINS["b"]}, "b"),
        ({"9": "9" * 64, "a": "f" * 64}, "9"),
        ({"9": "9" * 64}, "9"),
    ],
)
def test_a_pinned_version_is_taken_while_the_archive_has_it(
    monkeypatch, tmp_path, caplog, there, taken
):
    archive = Archive(**{f"1-{name}": digest for name, digest in there.items()})
    monkeypatch.setattr(debian, "lookup", archive.lookup)
    pinned = [{"version": f"1-{name}", "sha256": digest} for name, digest in PINS.items()]
    asked = DebianSource.model_validate({"package": "linux-source-6.12", "pinned": pinned})
    assert source._find(asked, tmp_path).version == f"1-{taken}"
    said = "none of the pinned versions (1-a, 1-b) is in the archive; using 1-9, the newest"
    assert (said in caplog.text) == (taken == "9")
    newest = Base.parse(
        {"name": "6.12", "version": "6.12", "provider": {"debian": asked.model_dump()}}, "6.12.yaml"
    ).newest
    assert newest.provider.debian
    assert source._find(newest.provider.debian, tmp_path).version == f"1-{next(iter(there))}"
