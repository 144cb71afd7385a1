# SPDX-License-Identifier: GPL-2.0-only
"""A bare git repository as a store of trees: every kernel source is named by its tree id."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness import process as tool
from harness.errors import HostError, SourceError

BASE_REF = "refs/heads/base"
"""Points at the base; what a reference names survives `git gc`."""

_FETCHED = "refs/fetched/base"

_PRIVATE = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    # Attributes change the files that are checked out, and have files of their own.
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.attributesFile",
    "GIT_CONFIG_VALUE_0": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}

_COMMIT = b"commit %s\ncommitter pageinit <pageinit@localhost> 0 +0000\ndata 5\nbase\n"


@dataclass(frozen=True)
class FileChange:
    """One file that differs between two trees, with its lines added and removed."""

    file: str
    added: int
    removed: int


def environment(*, private: bool = True, **more: str) -> dict[str, str]:
    """The environment for git: named variables only, and no configuration of user or system.

    Without `private` the user's counts, as it must for the network, less what a hook around us set.
    """
    if private:
        return {**tool.environment(), **_PRIVATE, **more}
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    return {**clean, "GIT_TERMINAL_PROMPT": "0", **more}


def is_id(commit: str) -> bool:
    """Whether this is the full id of a commit, by its form."""
    return bool(re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", commit))


def no_id(origin: str, name: str) -> SourceError:
    """The error for a branch, a tag or a short id in the place of a full id: what it is today."""
    remedy = "write the full id of a commit (`git rev-parse NAME^{commit}` in the repository)"
    kind, commit = _named(origin, name)
    if not kind:
        return SourceError(
            f"commit: {name} is no full id, and no branch or tag", where=origin, remedy=remedy
        )
    return SourceError(
        f"commit: {name} is {kind}, of commit {commit} today; a base is one commit by its full id",
        where=origin,
        remedy=f"write `commit: {commit}`",
    )


def commit_of(origin: str, name: str) -> str:
    """The full id of the commit that a branch or tag is now.

    Raises `SourceError` where a repository has no such name, `HostError` where it does not answer.
    """
    kind, commit = _named(origin, name)
    if kind:
        return commit
    argv = ["git", "ls-remote", "--exit-code", "--", origin, "HEAD"]
    done = tool.run(argv, env=environment(private=False), check=False)
    if done.returncode not in (0, 2):
        said = done.stderr.decode("utf-8", "replace").strip()
        raise HostError(
            said or "no git repository", where=origin, remedy="check url or path, and the network"
        )
    shallow = _here(origin) and tool.run(
        ["git", "-C", origin, "rev-parse", "--is-shallow-repository"],
        env=environment(private=False),
        check=False,
    ).stdout.startswith(b"true")
    raise SourceError(
        f"there is no {name}" + (", and this clone is shallow" if shallow else ""),
        where=origin,
        remedy=f"git fetch --unshallow, or git fetch origin {name}"
        if shallow
        else "name a branch or a tag that is there",
    )


def _named(origin: str, name: str) -> tuple[str, str]:
    """What a name is in a repository, and its commit; two empty words where nobody knows."""
    env = environment(private=False)
    done = tool.run(["git", "ls-remote", "--", origin, name, f"{name}^{{}}"], env=env, check=False)
    lines = [line.split("\t") for line in done.stdout.decode("utf-8", "replace").splitlines()]
    refs = {pair[1]: pair[0] for pair in lines if len(pair) == 2}
    for before, kind in (("", "a reference"), ("refs/heads/", "a branch"), ("refs/tags/", "a tag")):
        if peeled := refs.get(f"{before}{name}^{{}}"):
            return "an annotated tag", peeled
        if commit := refs.get(f"{before}{name}"):
            return kind, commit
    argv = ["git", "-C", origin, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    found = tool.run(argv, env=env, check=False).stdout.decode().strip() if _here(origin) else ""
    return ("a short id" if name in found[: len(name)] else "a name", found) if found else ("", "")


def _here(origin: str) -> bool:
    return "://" not in origin and Path(origin).is_dir()


def dirty(folder: Path, most: int = 5) -> tuple[str, ...]:
    """Files of a work tree that are changed or new, and in no commit; at most so many, and a word.

    Empty for a folder that is no work tree.
    """
    argv = ["git", "-C", str(folder), "status", "--porcelain", "-z"]
    done = tool.run(argv, env=environment(private=False), check=False)
    if done.returncode:
        return ()
    entries = done.stdout.decode("utf-8", "replace").split("\0")
    files = [entry[3:] for entry in entries if entry[2:3] == " "]
    return (*files[:most], *([f"{len(files) - most} more"] if len(files) > most else []))


@dataclass(frozen=True)
class Repository:
    """A bare repository at `path`."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> Repository:
        """Makes an empty repository that never removes an object by itself."""
        tool.run(["git", "init", "--quiet", "--bare", "--template=", path], env=environment())
        repository = cls(path)
        # Trees of patched kernels are named by no reference.
        repository.git("config", "gc.auto", "0")
        return repository

    def git(
        self,
        *words: str | Path,
        index: Path | None = None,
        work_tree: Path | None = None,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs git on this repository; raises `HostError` as `tool.run` does."""
        env = environment(GIT_DIR=str(self.path))
        if index:
            env["GIT_INDEX_FILE"] = str(index)
        if work_tree:
            env["GIT_WORK_TREE"] = str(work_tree)
        return tool.run(["git", *words], env=env, cwd=work_tree, stdin=stdin, check=check)

    def fetch(self, origin: str, commit: str) -> None:
        """Gets one commit, by its full id, without its history.

        Raises `SourceError` where it is not there, or is no commit.
        """
        argv = ["git", "-C", str(self.path), "fetch", "--quiet", "--depth=1", "--no-tags"]
        asked = f"{commit}:{_FETCHED}"
        done = tool.run([*argv, "--", origin, asked], env=environment(private=False), check=False)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            absent = re.search("not our ref|unadvertised|remote ref|not a valid object", said)
            raise SourceError(
                f"there is no {commit}" if absent else said or "git fetch failed",
                where=origin,
                remedy="check url or path, the commit id, and the network",
            )
        done = self.git("rev-parse", "--verify", "--quiet", f"{_FETCHED}^{{commit}}", check=False)
        found = done.stdout.decode().strip()
        if found != commit:
            what = f"is an annotated tag, of the commit {found}" if found else "is no commit"
            remedy = f"write `commit: {found}`" if found else "write the id of a commit"
            raise SourceError(f"{commit} {what}", where=origin, remedy=remedy)
        self.git("update-ref", BASE_REF, commit)

    def tree_of(self, name: str) -> str:
        """The tree id of a commit, a reference or a tree."""
        return self.git("rev-parse", "--verify", f"{name}^{{tree}}").stdout.decode().strip()

    def read(self, tree: str, file: str) -> str | None:
        """The text of a file of a tree; none where there is no such file."""
        done = self.git("cat-file", "blob", f"{tree}:{file}", check=False)
        return None if done.returncode else done.stdout.decode("utf-8", "replace")

    def changes(self, old: str, new: str) -> tuple[FileChange, ...]:
        """The files that differ between two trees, in the order of their names."""
        done = self.git("diff-tree", "-r", "--no-renames", "--numstat", "-z", old, new)
        changes = []
        for line in filter(None, done.stdout.decode("utf-8", "surrogateescape").split("\0")):
            added, removed, file = line.split("\t", 2)
            # git prints "-" for binary files, which have no lines.
            counts = (int(number.strip("-") or 0) for number in (added, removed))
            changes.append(FileChange(file, *counts))
        return tuple(changes)

    def merge(self, base: str, ours: str, theirs: str) -> str | None:
        """The tree with the changes of both since `base`; none where they touch the same lines."""
        who = ("-c", "user.name=pageinit", "-c", "user.email=pageinit@localhost")

        def commit(tree: str, *parents: str) -> str:
            words = [word for parent in parents for word in ("-p", parent)]
            done = self.git(*who, "commit-tree", *words, "-m", "merged", tree)
            return done.stdout.decode().strip()

        root = commit(base)
        sides = commit(ours, root), commit(theirs, root)
        done = self.git("merge-tree", "--write-tree", "--no-messages", *sides, check=False)
        return None if done.returncode else done.stdout.decode().split()[0]

    def diff(self, old: str, new: str) -> bytes:
        """What ``git apply`` takes to go from one tree to another."""
        return self.git("diff-tree", "-p", "--full-index", "--binary", old, new).stdout

    def check_out(self, tree: str, folder: Path, index: Path) -> None:
        """Makes the tracked files of `folder` those of `tree` and writes only what differs.

        Untracked files stay. `index` remembers what was written; after an interruption, or when
        somebody edited a file, the next call repairs the folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        index.with_name(index.name + ".lock").unlink(missing_ok=True)
        workers = ("-c", f"checkout.workers={os.cpu_count() or 1}")
        # --reset also compares what lies in the folder with the index, file by file.
        self.git(*workers, "read-tree", "--reset", "-u", tree, index=index, work_tree=folder)

    def clean(self, folder: Path, index: Path, but: str) -> None:
        """Removes what is checked out nowhere, ignored or not, less what matches `but`."""
        self.git("clean", "-ffdxq", "-e", but, index=index, work_tree=folder)

    def renew(self, files: Sequence[str], folder: Path, index: Path) -> None:
        """Gives checked-out files a new time: make then compiles all that depends on them."""
        for path in (folder / name for name in files):
            if path.is_file() and not path.is_symlink():
                os.utime(path)
        self.git("update-index", "-q", "--refresh", index=index, work_tree=folder)

    def import_tar(self, archive: tarfile.TarFile) -> str:
        """Stores the files of a tar archive, less its one top folder, and answers their tree id.

        The bytes go straight from the archive into a pack: no file system, .gitignore or
        attribute can change or drop a file. Raises `SourceError` for an archive with anything
        but files, folders and links below one folder.
        """
        argv = ["git", "-c", "core.compression=1", "fast-import", "--quiet", "--done", "--depth=0"]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                argv,
                env=environment(GIT_DIR=str(self.path), LC_ALL="C"),
                stdin=subprocess.PIPE,
                stderr=said,
            )
            with process:
                assert process.stdin
                try:
                    _write_stream(process.stdin, archive)
                    process.stdin.close()
                except BrokenPipeError:
                    pass  # fast-import gave up; its exit status and words tell why
                except BaseException:
                    process.kill()
                    raise
            if process.returncode:
                said.seek(0)
                raise tool.failed(argv, process.returncode, said.read())
        return self.tree_of(BASE_REF)


def _write_stream(stream: IO[bytes], archive: tarfile.TarFile) -> None:
    stream.write(_COMMIT % BASE_REF.encode())
    top: str | None = None
    for member in archive:
        first, _, inside = member.name.removeprefix("./").partition("/")
        top = first if top is None else top
        parts = inside.split("/")
        if first != top or first in ("", "..") or ".." in parts or "\n" in member.name:
            raise SourceError(f"{member.name!r} is not below the archive's one folder {top!r}")
        if member.isdir() or not inside:
            continue
        stream.write(_file_change(member, inside, archive))
    if top is None:
        raise SourceError("the archive is empty")
    stream.write(b"done\n")


def _file_change(member: tarfile.TarInfo, inside: str, archive: tarfile.TarFile) -> bytes:
    path = _quote(inside)
    if member.islnk():
        if "\n" in member.linkname:
            raise SourceError(f"{member.name!r} links to a name with a line break")
        return b"C %s %s\n" % (_quote(member.linkname.removeprefix("./").partition("/")[2]), path)
    if member.issym():
        mode, data = b"120000", member.linkname.encode("utf-8", "surrogateescape")
    elif member.isreg():
        file = archive.extractfile(member)
        assert file
        mode, data = b"100755" if member.mode & 0o100 else b"100644", file.read()
        if len(data) != member.size:
            raise SourceError(f"cut short inside {member.name}")
    else:
        raise SourceError(f"{member.name!r} is no file, folder or link")
    return b"M %s inline %s\ndata %d\n%s\n" % (mode, path, len(data), data)


def _quote(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode("utf-8", "surrogateescape")
