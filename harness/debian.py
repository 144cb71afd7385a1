# SPDX-License-Identifier: GPL-2.0-only
"""Packages of the Debian archive, downloaded and read without root and without installing them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import tool
from harness.errors import HostError, SourceError

_STALE = "apt-get update (as root), then start again"


@dataclass(frozen=True)
class Package:
    """A package as apt's signed lists describe it."""

    name: str
    version: str
    sha256: str
    size: int
    depends: str = ""


def lookup(name: str, version: str | None = None) -> Package:
    """Finds a package in apt's lists: `version`, or the one apt would install.

    Raises `HostError` when apt has no lists or does not know the package, `SourceError` when it
    knows other versions only.
    """
    asked = f"{name}={version}" if version else name
    found = described(_show(asked))
    if not found and refresh():
        found = described(_show(asked))
    if found:
        return found
    known = versions(name)
    if version and known:
        raise SourceError(
            f"{name} {version} is not in the archive (there: {', '.join(known)})",
            remedy="name one of these in base.yaml, or drop `version`, or give a tarball instead",
        )
    raise HostError(f"apt does not know the package {name}", remedy=_STALE)


def described(text: str) -> Package | None:
    """The package that ``apt-cache show`` describes; none where something of it is missing."""
    fields = dict(re.findall(r"^([\w-]+): (.*)$", text, re.M))
    if not {"Package", "Version", "SHA256"} <= fields.keys():
        return None
    if not re.fullmatch(r"[0-9]{1,15}", size := fields.get("Size", "")):
        return None
    depends = fields.get("Depends", "")
    return Package(fields["Package"], fields["Version"], fields["SHA256"], int(size), depends)


def _show(asked: str) -> str:
    done = tool.run(["apt-cache", "show", "--no-all-versions", asked], check=False)
    return done.stdout.decode("utf-8", "replace")


@functools.cache
def refresh() -> bool:
    """Renews apt's lists, once a process, where that is allowed: a fresh container has none."""
    if os.geteuid() != 0:
        return False
    return tool.run(["apt-get", "--quiet=2", "update"], check=False).returncode == 0


def versions(name: str) -> list[str]:
    """The versions that the archive has, newest first."""
    done = tool.run(["apt-cache", "madison", name], check=False)
    return madison(done.stdout.decode("utf-8", "replace"))


def madison(text: str) -> list[str]:
    """The versions in what ``apt-cache madison`` printed."""
    lines = text.splitlines()
    return list(dict.fromkeys(line.split("|")[1].strip() for line in lines if line.count("|") > 1))


def newest(candidates: Iterable[str]) -> str:
    """The highest version by Debian's own order, in which 1~deb12u1 comes before 1."""

    def order(a: str, b: str) -> int:
        if a == b:
            return 0
        less = tool.run(["dpkg", "--compare-versions", a, "lt", b], check=False)
        return -1 if less.returncode == 0 else 1

    return max(candidates, key=functools.cmp_to_key(order))


def dependency(package: Package, pattern: str) -> tuple[str, str | None]:
    """The first dependency whose name matches `pattern`, with its version where that is fixed.

    Raises `SourceError` when there is none.
    """
    for part in re.split(r"[,|]", package.depends):
        match = re.fullmatch(r"\s*([a-z0-9.+-]+)\s*(?:\(= ([^)]+)\))?.*", part)
        if match and re.fullmatch(pattern, match[1]):
            return match[1], match[2]
    raise SourceError(f"{package.name} {package.version} depends on no {pattern}")


def download(package: Package, folder: Path) -> Path:
    """Downloads a package into `folder` and checks its bytes against apt's signed lists.

    Raises `HostError` when it cannot be had, `SourceError` when it is cut short or altered.
    """
    argv = ["apt-get", "--quiet=2", "download", f"{package.name}={package.version}"]
    done = tool.run(argv, cwd=folder, check=False)
    if done.returncode and refresh():  # an old list names files that are gone
        done = tool.run(argv, cwd=folder, check=False)
    found = sorted(folder.glob(f"{package.name}_*.deb"))
    if done.returncode or not found:
        error = tool.failed(argv, done.returncode, done.stderr or done.stdout)
        raise HostError(error.what, where=error.where, remedy=f"check the network; {_STALE}")
    verify(found[0], package.sha256, package.size)
    return found[0]


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, sha256: str, size: int | None = None) -> None:
    """Raises `SourceError` when a file is not the one asked for."""
    there = path.stat().st_size
    if size is not None and there < size:
        raise SourceError(
            f"cut short: {there} of {size} bytes", where=path.name, remedy="start again"
        )
    got = sha256_of(path)
    if got != sha256:
        raise SourceError(f"sha256 is {got}, expected {sha256}", where=path.name)


@contextlib.contextmanager
def contents(deb: Path) -> Iterator[tarfile.TarFile]:
    """Opens the files of a package as a tar stream: read the members in order, once.

    Raises `SourceError` when the package is damaged.
    """
    argv = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=said)
        except FileNotFoundError:
            raise tool.missing(argv[0]) from None
        with process:
            assert process.stdout
            try:
                with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                    yield archive
            except (tarfile.TarError, EOFError) as error:
                said.seek(0)
                reason = said.read().decode("utf-8", "replace").strip() or str(error)
                raise SourceError(f"damaged package: {reason}", where=deb.name) from None
            finally:
                process.stdout.close()
                process.kill()
