# SPDX-License-Identifier: GPL-2.0-only
"""The base kernel source: from Debian, a tarball or git, verified, kept as a git tree."""

from __future__ import annotations

import json
import logging
import lzma
import re
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import IO

from harness import files
from harness.errors import HostError, SourceError
from harness.kernel import debian
from harness.kernel.git import BASE_REF, Repository, dirty, is_id, no_id
from harness.model import Base, DebianSource, GitSource, Model, TarballSource

log = logging.getLogger(__name__)

_SOURCE_FILE = "source.json"


class Source(Model):
    """A base source in the cache: `tree` is its git tree id in the bare repository `repo`.

    `version` is the package's or the kernel's own version, `sha256` that of the file that was
    downloaded (none for git, whose commit id is in `origin`).
    """

    repo: Path
    tree: str
    version: str
    sha256: str | None
    origin: str

    @property
    def folder(self) -> Path:
        """Its folder in the cache."""
        return self.repo.parent

    @property
    def repository(self) -> Repository:
        return Repository(self.repo)


def cached(base: Base, cache: Path) -> Source | None:
    """The source that `fetch` would answer without the network, if it is there already."""
    known = _cached(base, cache)
    if known:
        _check_version(base, known.version, known.origin)
    return known


def _cached(base: Base, cache: Path) -> Source | None:
    provider, sources = base.provider, cache / "sources"
    if provider.tarball:
        return _load(sources / f"tarball-{provider.tarball.sha256[:16]}", provider.tarball.sha256)
    if provider.git:
        commit = provider.git.commit
        kept = _load(sources / f"git-{commit[:16]}") if is_id(commit) else None
        return kept if kept and kept.origin.endswith(f" {commit}") else None
    assert provider.debian
    package, version = provider.debian.package, provider.debian.version
    if version:
        return _load(sources / f"{package}_{version}", provider.debian.sha256)
    found = (_load(folder, provider.debian.sha256) for folder in sources.glob(f"{package}_*"))
    known = {source.version: source for source in found if source}
    return known[debian.newest(known)] if known else None


def fetch(base: Base, cache: Path) -> Source:
    """Gets the base source, verifies it and stores it as a git tree; a known one costs no network.

    Raises `SourceError` when it is altered, cut short or another kernel, `HostError` when it
    cannot be had from here. An interruption leaves nothing that counts.
    """
    sources = cache / "sources"
    with files.locked(
        sources / ".lock", lambda: log.info("waiting for another fetch of the source")
    ):
        files.sweep(sources)
        provider = base.provider
        if provider.git and provider.git.path and (changed := dirty(provider.git.path)):
            log.warning(
                f"{provider.git.path}: {', '.join(changed)}: not committed, and no part of the base"
            )
        known = cached(base, cache)
        if known and not (provider.debian and provider.debian.version is None):
            return known
        if provider.tarball:
            return _fetch_tarball(base, provider.tarball, sources)
        if provider.git:
            return _fetch_git(base, provider.git, sources)
        assert provider.debian
        try:
            return _fetch_debian(base, provider.debian, sources)
        except HostError as error:
            if not known:
                raise
            log.warning(
                f"{error.what.splitlines()[0]}; using {known.version}, the newest in the cache"
            )
            return known


def _fetch_debian(base: Base, asked: DebianSource, sources: Path) -> Source:
    package = debian.lookup(asked.package, asked.version)
    folder = sources / f"{package.name}_{package.version}"
    if asked.sha256 not in (None, package.sha256):
        raise SourceError(
            f"sha256 of {package.name} {package.version} is {package.sha256},"
            f" bases/{base.name}.yaml says {asked.sha256}",
            remedy="correct sha256 there, or name the version that it belongs to",
        )
    if source := _load(folder, package.sha256):
        return source
    with files.filling(folder) as part:
        log.info(f"downloading {package.name} {package.version} ({package.size >> 20} MiB)")
        deb = debian.download(package, part)
        log.info("storing it as a git tree, which takes about a minute")
        repo = part / "repo.git"
        facts = {
            "tree": _import_deb(Repository.create(repo), deb),
            "version": package.version,
            "sha256": package.sha256,
            "origin": f"Debian {package.name} {package.version}",
        }
        deb.unlink()
        _describe(base, Source(repo=repo, **facts))
    return _loaded(folder)


def _fetch_tarball(base: Base, asked: TarballSource, sources: Path) -> Source:
    folder = sources / f"tarball-{asked.sha256[:16]}"
    with files.filling(folder) as part:
        origin = asked.url or str(asked.path)
        file = asked.path or part / "tarball"
        if asked.url:
            log.info(f"downloading {asked.url}")
            _download(asked.url, file)
        elif not file.is_file():
            raise SourceError("no such file", where=str(file))
        files.verify(file, asked.sha256)
        log.info("storing it as a git tree, which takes about a minute")
        with file.open("rb") as handle:
            tree = _import_tar(Repository.create(part / "repo.git"), handle, origin)
        (part / "tarball").unlink(missing_ok=True)
        repo = part / "repo.git"
        _describe(
            base, Source(repo=repo, tree=tree, version="", sha256=asked.sha256, origin=origin)
        )
    return _loaded(folder)


def _fetch_git(base: Base, asked: GitSource, sources: Path) -> Source:
    origin = asked.url or str((asked.path or Path()).absolute())
    if not is_id(asked.commit):
        raise no_id(origin, asked.commit)
    folder = sources / f"git-{asked.commit[:16]}"
    with files.filling(folder) as part:
        log.info(f"fetching {asked.commit[:12]} from {origin}")
        repository = Repository.create(part / "repo.git")
        repository.fetch(origin, asked.commit)
        named = f"{origin} {asked.commit}"
        tree = repository.tree_of(BASE_REF)
        _describe(
            base,
            Source(repo=repository.path, tree=tree, version="", sha256=None, origin=named),
        )
    return _loaded(folder)


def _import_deb(repository: Repository, deb: Path) -> str:
    with debian.contents(deb) as outer:
        for member in outer:
            if re.fullmatch(r"\./usr/src/linux-source-[^/]+\.tar\.(xz|gz|bz2)", member.name):
                inner = outer.extractfile(member)
                assert inner
                return _import_tar(repository, inner, deb.name)
    raise SourceError("holds no usr/src/linux-source-*.tar.xz", where=deb.name)


def _import_tar(repository: Repository, file: IO[bytes], where: str) -> str:
    try:
        with tarfile.open(fileobj=file, mode="r|*") as archive:
            return repository.import_tar(archive)
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise SourceError(f"damaged or cut short: {error}", where=where) from None


def _download(url: str, file: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, file.open("wb") as out:
            shutil.copyfileobj(answer, out, 1 << 20)
            size = int(answer.headers.get("Content-Length") or 0)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise HostError(
            f"cannot download: {error}", where=url, remedy="check the network"
        ) from None
    if file.stat().st_size < size:
        raise SourceError(f"cut short: {file.stat().st_size} of {size} bytes", where=url)


def _describe(base: Base, source: Source) -> None:
    """Writes source.json after a last check: the tree must be the kernel that the base says."""
    release = kernel_release(source.repository.read(source.tree, "Makefile") or "")
    _check_version(base, release, source.origin)
    facts = source.model_dump(mode="json", exclude={"repo"})
    facts["version"] = source.version or release
    (source.folder / _SOURCE_FILE).write_text(json.dumps(facts, indent=1) + "\n")


def _check_version(base: Base, found: str, origin: str) -> None:
    """`found` is the kernel's version, or its package's."""
    release = re.split("[-+~]", found)[0]
    if not f"{release}.".startswith(f"{base.version}."):
        raise SourceError(
            f"this is Linux {found or '(no version in Makefile)'},"
            f" {base.name}.yaml says {base.version}",
            where=origin,
        )


def kernel_release(makefile: str) -> str:
    """``6.12.117`` or ``6.12.0-rc1`` from the first lines of a kernel's Makefile."""
    found: dict[str, str] = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *= *(\S*)$", makefile, re.M)
    )
    numbers = [found.get(key, "") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    return ".".join(filter(None, numbers)) + found.get("EXTRAVERSION", "")


def _load(folder: Path, sha256: str | None = None) -> Source | None:
    """The source in `folder` if it is there, whole, and has the `sha256` asked for."""
    try:
        facts = json.loads((folder / _SOURCE_FILE).read_bytes())
        source = Source(repo=folder / "repo.git", **facts)
    except (OSError, ValueError, TypeError):
        return None
    return source if sha256 in (None, source.sha256) and source.repo.is_dir() else None


def _loaded(folder: Path) -> Source:
    source = _load(folder)
    if source is None:
        raise SourceError("the cache does not keep what is written to it", where=str(folder))
    return source
