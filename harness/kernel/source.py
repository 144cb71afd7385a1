# SPDX-License-Identifier: GPL-2.0-only
"""The base kernel source: from Debian, a tarball or git, verified, kept as a git tree."""

from __future__ import annotations

import contextlib
import hashlib
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
from harness.kernel.git import BASE_REF, Repository, commit_of, dirty, is_id, no_id
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
        commit = provider.git.commit or _remembered(provider.git, sources)
        kept = _load(sources / f"git-{commit[:16]}") if is_id(commit) else None
        return kept if kept and kept.origin.endswith(f" {commit}") else None
    assert provider.debian
    package, version = provider.debian.package, provider.debian.version
    if version:
        return _load(sources / f"{package}_{version}", provider.debian.sha256)
    for pin in provider.debian.pinned:
        if kept := _load(sources / f"{package}_{pin.version}", pin.sha256):
            return kept
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
        if provider.git and provider.git.revision:
            return _fetch_revision(base, provider.git, sources)
        known = cached(base, cache)
        if known and not (provider.debian and _moves(provider.debian, known)):
            return known
        if provider.tarball:
            return _fetch_tarball(base, provider.tarball, sources)
        if provider.git:
            return _fetch_git(base, provider.git, sources, str(provider.git.commit))
        assert provider.debian
        try:
            return _fetch_debian(base, provider.debian, sources)
        except (HostError, SourceError) as error:
            if not known:
                raise
            log.warning(
                f"{error.what.splitlines()[0]}; using {known.version}, the newest in the cache"
            )
            return known


def _moves(asked: DebianSource, known: Source) -> bool:
    """Whether the archive may have what is asked for rather than what is in the cache."""
    if asked.pinned:
        return all(pin.version != known.version for pin in asked.pinned)
    return asked.version is None


def renew(base: Base, cache: Path) -> bool:
    """Renews the lists that a Debian package of a base is looked up in; false where it may not."""
    asked = base.provider.debian
    if not asked or asked.version:
        return False
    own = asked.suite and debian.refresh(debian.suite(asked.suite, cache))
    return debian.refresh() or bool(own)


def _find(asked: DebianSource, cache: Path) -> debian.Package:
    """The package that is asked for: of its pins the first that the archive has, else the newest.

    Raises `HostError` or `SourceError` as `debian.lookup` does.
    """
    for pin in asked.pinned:
        with contextlib.suppress(HostError, SourceError):
            package = _lookup(asked, pin.version, cache)
            if package.sha256 == pin.sha256:
                return package
    package = _lookup(asked, asked.version, cache)
    if asked.pinned:
        pins = ", ".join(pin.version for pin in asked.pinned)
        log.warning(
            f"{package.name}: none of the pinned versions ({pins}) is in the archive; using"
            f" {package.version}, the newest; docs/patches.md says how a base is moved forward"
        )
    return package


def _lookup(asked: DebianSource, version: str | None, cache: Path) -> debian.Package:
    if not asked.suite:
        return debian.lookup(asked.package, version)
    with contextlib.suppress(HostError, SourceError):
        return debian.lookup(asked.package, version, renew=False)
    return debian.lookup(asked.package, version, debian.suite(asked.suite, cache))


def _fetch_debian(base: Base, asked: DebianSource, sources: Path) -> Source:
    package = _find(asked, sources.parent)
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


def _origin(asked: GitSource) -> str:
    return asked.url or str((asked.path or Path()).absolute())


def _memory(asked: GitSource, sources: Path) -> Path:
    """Where the commit lies that a revision was when it was last asked for."""
    key = hashlib.sha256(f"{_origin(asked)}\0{asked.revision}".encode()).hexdigest()[:16]
    return sources / f"revision-{key}"


def _remembered(asked: GitSource, sources: Path) -> str:
    try:
        return _memory(asked, sources).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _fetch_revision(base: Base, asked: GitSource, sources: Path) -> Source:
    """The commit that a branch or tag is now; without the network that which it was."""
    origin, name = _origin(asked), str(asked.revision)
    if asked.path and (changed := dirty(asked.path)):
        raise SourceError(
            f"not committed: {', '.join(changed)}",
            where=origin,
            remedy="commit it, or `git stash`; or name a commit by its full id, with `commit:`",
        )
    try:
        commit = commit_of(origin, name)
    except HostError as error:
        known = cached(base, sources.parent)
        if not known:
            raise
        log.warning(f"{error.what.splitlines()[0]}; using {known.version}, as it was before")
        return known
    found = _load(sources / f"git-{commit[:16]}") or _fetch_git(base, asked, sources, commit)
    _check_version(base, found.version, found.origin)
    files.write_atomic(_memory(asked, sources), f"{commit}\n")
    return found


def _fetch_git(base: Base, asked: GitSource, sources: Path, commit: str) -> Source:
    origin = _origin(asked)
    if not is_id(commit):
        raise no_id(origin, commit)
    folder = sources / f"git-{commit[:16]}"
    with files.filling(folder) as part:
        log.info(f"fetching {commit[:12]} from {origin}")
        repository = Repository.create(part / "repo.git")
        repository.fetch(origin, commit)
        named = f"{origin} {commit}"
        tree = repository.tree_of(BASE_REF)
        # A commit says itself which it is; of a branch the version has to.
        release = kernel_release(repository.read(tree, "Makefile") or "")
        version = f"{release}-g{commit[:12]}" if asked.revision and release else ""
        _describe(
            base,
            Source(repo=repository.path, tree=tree, version=version, sha256=None, origin=named),
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
