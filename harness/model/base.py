# SPDX-License-Identifier: GPL-2.0-only
"""kernel-patches/bases/: the kernel sources that series apply to, and who provides them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from harness.model.arch import ARCHS, Arch, ArchName
from harness.model.schedule import BaseName
from harness.model.schema import Model, form, located

PackageName = Annotated[str, form("[a-z0-9][a-z0-9.+-]*", "the name of a Debian package")]
Sha256 = Annotated[str, form("[0-9a-f]{64}", "a SHA-256: 64 lower-case hexadecimal digits")]
Version = Annotated[str, form("[0-9][A-Za-z0-9.+~:-]*", "a version of a package")]
Word = Annotated[str, form("[A-Za-z0-9][A-Za-z0-9._/-]*", "one word of letters, digits and `._/-`")]
_PRINTED = r"[^\s\x00-\x1f\x7f]+"


class Suite(Model):
    """A suite of an archive of Debian packages; its signed lists are kept in the cache."""

    suite: Word
    """`trixie-backports`, `sid` and the like"""
    uri: Annotated[str, form(f"(https?|file)://{_PRINTED}", "an URL of http or file")] | None = None
    """where the archive is; without it, where the host's apt has its own packages from"""
    components: tuple[Word, ...] = ("main",)
    """parts of the suite"""
    keyring: Path = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    """the keys of which one has to have signed the lists"""


class PinnedPackage(Model):
    """One version of a package, by its bytes."""

    version: Version
    """as `apt-cache madison` prints it"""
    sha256: Sha256
    """hash of the package"""


class DebianSource(Model):
    """A ``linux-source-*`` package; without `version` and `pinned` the newest that apt knows."""

    package: PackageName
    """`linux-source-6.12` and the like"""
    version: Version | None = None
    """this version and no other"""
    sha256: Sha256 | None = None
    """pins the bytes of the package"""
    pinned: tuple[PinnedPackage, ...] = ()
    """versions that the series are known to apply to: the first that can be had; else the newest"""
    suite: Suite | None = None
    """where the package is looked for when the host's apt does not offer it"""

    @model_validator(mode="after")
    def _one_pin(self) -> Self:
        if self.pinned and (self.version or self.sha256):
            raise ValueError("give either pinned, or version and sha256")
        return self


class TarballSource(Model):
    """A tar archive with one folder at its top."""

    url: Annotated[str, form(f"(https?|file)://{_PRINTED}", "an URL of http or file")] | None = None
    """where the archive is; or `path`"""
    path: Path | None = None
    """the archive on disk, relative to this file, `~` allowed; or `url`"""
    sha256: Sha256
    """hash that the archive must have"""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("give either url or path")
        return self


_COMMIT = form(r"[A-Za-z0-9][A-Za-z0-9._/+@-]{0,199}", "the id of a commit")


class GitSource(Model):
    """A commit of a git repository: by its full id, or that of a branch or tag on the day."""

    url: Annotated[str, form(f"[a-z]{_PRINTED}", "an URL that git fetches from")] | None = None
    """the repository; or `path`"""
    path: Path | None = None
    """the repository on disk, relative to this file, `~` allowed; or `url`"""
    commit: Annotated[str, _COMMIT] | None = None
    """full id of the commit; of a branch, a tag or a short id, `harness build` says what it is"""
    revision: Annotated[str, _COMMIT] | None = None
    """or a branch or tag, asked anew each time; the commit is recorded with the kernel"""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("give either url or path")
        if (self.commit is None) == (self.revision is None):
            raise ValueError("give either commit or revision")
        return self


class Provider(Model):
    """Where the source comes from: exactly one of three."""

    debian: DebianSource | None = None
    """a source package of Debian, downloaded and unpacked without root"""
    tarball: TarballSource | None = None
    """a tar archive with one folder at its top"""
    git: GitSource | None = None
    """one commit of a git repository"""

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [k for k in ("debian", "tarball", "git") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of debian, tarball, git (given: {', '.join(given) or 'none'})"
            )
        return self


class Toolchain(Model):
    """What compiles a kernel, where it is not the host's gcc: a part of the kernel's id."""

    arch: ArchName = Field(default="x86_64", exclude_if=lambda name: name == "x86_64")
    """`x86_64`, or `arm64`: what it makes kernels for, with a cross compiler on other hosts"""
    compiler: (
        Annotated[str, form("[A-Za-z0-9][A-Za-z0-9._+-]*", "a compiler's name, in PATH")] | None
    ) = None
    """a compiler in PATH, as `gcc-12`; else that of `llvm` or `cross`, or gcc"""
    llvm: bool | Annotated[str, form("-[0-9]{1,3}", "true, or a suffix as -15")] = False
    """build with LLVM: `true`, or the suffix of one version, as `"-15"`"""
    cross: (
        Annotated[str, form("[a-z0-9_]+(-[a-z0-9_]+)*-", "a prefix as x86_64-linux-gnu-")] | None
    ) = None
    """prefix of the compiler and of the binutils, as `x86_64-linux-gnu-`; of itself where the host
    is of another architecture"""

    @property
    def architecture(self) -> Arch:
        """What `arch` names."""
        return ARCHS[self.arch]

    @property
    def prefix(self) -> str:
        """What stands before the names of gcc and the binutils."""
        return self.cross or self.architecture.prefix

    @property
    def _suffix(self) -> str:
        return self.llvm if isinstance(self.llvm, str) else ""

    @property
    def cc(self) -> str:
        """The program that compiles."""
        own = f"clang{self._suffix}" if self.llvm else f"{self.prefix}gcc"
        return self.compiler or own

    @property
    def linker(self) -> str:
        """The program that links."""
        return f"ld.lld{self._suffix}" if self.llvm else f"{self.prefix}ld"

    @property
    def words(self) -> tuple[str, ...]:
        """What make is told, but for the compiler; nothing where nothing was chosen."""
        arch = () if self.architecture.native else (f"ARCH={self.arch}",)
        llvm = (f"LLVM={self._suffix or 1}",) if self.llvm else ()
        return (*arch, *llvm, *((f"CROSS_COMPILE={self.prefix}",) if self.prefix else ()))


class Base(Model):
    """One file of kernel-patches/bases/. Paths are relative to it; `~` is a home folder."""

    name: BaseName
    version: Annotated[str, form(r"[0-9]+(\.[0-9]+){0,2}", "a version as 6.12 or 6.12.117")]
    """the kernel version that the source must show in its Makefile; `6.12` fits any 6.12.y"""
    provider: Provider
    """exactly one of three"""
    toolchain: Toolchain | None = None
    """what compiles its kernels, where it is not the host's gcc"""
    default: bool = False
    """what is meant where no base is named; one of them says so, if there are several"""
    ports: str | None = None
    """the base whose ports of series and forms of fragments fit where this one has none"""

    @property
    def arch(self) -> Arch:
        """What its kernels run on."""
        return (self.toolchain or Toolchain()).architecture

    @property
    def newest(self) -> Base:
        """The same base at the newest version that can be had of a Debian package."""
        if self.provider.debian is None:
            return self
        asked = self.provider.debian.model_copy(update={"pinned": ()})
        provider = self.provider.model_copy(update={"debian": asked})
        return self.model_copy(update={"provider": provider})

    @property
    def homes(self) -> tuple[str, ...]:
        """The folders of a series, or of fragments, that hold what is made for this base."""
        return (self.name, *filter(None, [self.ports]))

    @classmethod
    def load(cls, path: Path) -> Self:
        """As of every model, with each path found."""
        base = super().load(path)
        kind = "tarball" if base.provider.tarball else "git"
        asked = getattr(base.provider, kind)
        if asked is None or asked.path is None:
            return base
        found = asked.model_copy(update={"path": located(asked.path, path.parent)})
        provider = base.provider.model_copy(update={kind: found})
        return base.model_copy(update={"provider": provider})
