# SPDX-License-Identifier: GPL-2.0-only
"""Packages of the Debian archive, downloaded and read without root and without installing them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import platform
import pwd
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from harness import files
from harness import process as tool
from harness.errors import HostError, SourceError
from harness.files import verify
from harness.kernel.image import HEAD, arch_of
from harness.model import ARM64, ArchName, Kernel, Suite

_STALE = "apt-get update (as root), then start again"
DAY_S = 86_400
"""Lists of our own that are older are renewed."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Apt:
    """apt as this host has it set up, or with `options` that give it lists of its own."""

    options: tuple[str, ...] = ()
    lists: Path | None = None
    about: str = "apt"

    def run(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        """Runs one of apt's programs; its exit status is for the caller."""
        return tool.run([words[0], *self.options, *words[1:]], cwd=cwd, check=False)


HOST = Apt()


def suite(asked: Suite, cache: Path, arch: str = "amd64") -> Apt:
    """apt for one suite and one architecture alone: the host's own is not touched.

    Its signed lists lie in the cache; those that are older than a day are renewed, as far as the
    network lets.
    """
    uri = asked.uri or _mirror()
    text = (
        f"Types: deb\nURIs: {uri}\nSuites: {asked.suite}\n"
        f"Components: {' '.join(asked.components)}\nArchitectures: {arch}\n"
        f"Signed-By: {asked.keyring}\n"
    )
    folder = cache / "apt" / hashlib.sha256(text.encode()).hexdigest()[:16]
    for part in ("lists/partial", "cache/archives/partial", "preferences.d"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    files.write_atomic(folder / "suite.sources", text)
    said = {
        "Dir::Etc::SourceList": folder / "suite.sources",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": folder / "preferences.d",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Architecture": arch,
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "APT::Update::Error-Mode": "any",
        # The user that apt reads the network as may not read a cache in a home folder.
        "APT::Sandbox::User": pwd.getpwuid(os.geteuid()).pw_name,
    }
    options = tuple(word for key, value in said.items() for word in ("-o", f"{key}={value}"))
    return Apt(options, folder / "lists", f"{asked.suite} of {uri}, {arch}")


def _mirror() -> str:
    """The archive of Debian that the host's apt uses, whatever mirror that is."""
    done = HOST.run("apt-get", "indextargets", "--format", "$(SITE) $(LABEL) $(COMPONENT)")
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        site, _, rest = line.partition(" ")
        if rest == "Debian main":
            return site
    raise HostError(
        "the host's apt knows no archive of Debian", remedy="name one as uri of the base's suite"
    )


@dataclass(frozen=True)
class Package:
    """A package as apt's signed lists describe it."""

    name: str
    version: str
    sha256: str
    size: int
    depends: str = ""
    apt: Apt = HOST


def lookup(
    name: str, version: str | None = None, apt: Apt = HOST, *, renew: bool = True
) -> Package:
    """Finds a package in apt's lists: `version`, or the one apt would install.

    Lists that lack it are renewed, if they may be. Raises `HostError` when apt has no lists or does
    not know the package, `SourceError` when it knows other versions only.
    """
    asked = f"{name}={version}" if version else name
    if apt.lists and renew and time.time() - apt.lists.stat().st_mtime > DAY_S:
        refresh(apt)
    found = _show(asked, apt)
    if not found and renew and refresh(apt):
        found = _show(asked, apt)
    if found:
        return found
    known = versions(name, apt)
    if version and known:
        raise SourceError(
            f"{name} {version} is not in the archive (there: {', '.join(known)})",
            remedy="name one of these in the base, or drop `version`, or give a tarball instead",
        )
    if apt.lists:
        raise HostError(
            f"{apt.about} has no package {name}",
            remedy="name a suite that has it, or give a tarball instead",
        )
    raise HostError(
        f"apt does not know the package {name}",
        remedy=f"{_STALE}; or name a `suite` that has it in the base (docs/patches.md)",
    )


def described(text: str) -> Package | None:
    """The package that ``apt-cache show`` describes; none where something of it is missing."""
    fields = dict(re.findall(r"^([\w-]+): (.*)$", text, re.M))
    if not {"Package", "Version", "SHA256"} <= fields.keys():
        return None
    if not re.fullmatch(r"[0-9]{1,15}", size := fields.get("Size", "")):
        return None
    depends = fields.get("Depends", "")
    return Package(fields["Package"], fields["Version"], fields["SHA256"], int(size), depends)


def _show(asked: str, apt: Apt) -> Package | None:
    done = apt.run("apt-cache", "show", "--no-all-versions", asked)
    found = described(done.stdout.decode("utf-8", "replace"))
    return found and replace(found, apt=apt)


@functools.cache
def refresh(apt: Apt = HOST) -> bool:
    """Renews apt's lists, once a process, where that is allowed: a fresh container has none.

    Raises `HostError`, in apt's words, where lists of our own cannot be had and none are there: no
    network, no such suite, or a signature by none of the keys.
    """
    if not apt.lists and os.geteuid() != 0:
        return False
    done = apt.run("apt-get", "--quiet=2", "update")
    if not done.returncode:
        if apt.lists:
            os.utime(apt.lists)
        return True
    if apt.lists:
        said = done.stderr.decode("utf-8", "replace").strip()
        if not any(apt.lists.glob("*_Packages*")):
            raise HostError(
                f"no lists of {apt.about}: {said}",
                remedy="check the network, and uri, suite and keyring in the base",
            )
        log.warning(f"{apt.about}: its lists are as they were: {said}")
    return False


def versions(name: str, apt: Apt = HOST) -> list[str]:
    """The versions that the archive has, newest first."""
    done = apt.run("apt-cache", "madison", name)
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
    done = package.apt.run(*argv, cwd=folder)
    if done.returncode and refresh(package.apt):  # an old list names files that are gone
        done = package.apt.run(*argv, cwd=folder)
    found = sorted(folder.glob(f"{package.name}_*.deb"))
    if done.returncode or not found:
        error = tool.failed(argv, done.returncode, done.stderr or done.stdout)
        raise HostError(error.what, where=error.where, remedy=f"check the network; {_STALE}")
    verify(found[0], package.sha256, package.size)
    return found[0]


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


_FACTS_FILE = "prebuilt.json"
_HEADER_VERSION = slice(0x20E, 0x210)
_BANNER = re.compile(rb"Linux version ([\w.+~-]{1,100}) ")


@dataclass(frozen=True)
class PrebuiltKernel:
    """An image and what it says of itself; `release` is its ``uname -r``."""

    kernel: Kernel
    image: Path
    release: str
    config: Path | None = None


def arch_of_image(image: Path) -> ArchName:
    """The architecture of a kernel on disk, by its first bytes; raises `SourceError` for none."""
    return arch_of(_bytes(image, HEAD), str(image))


def _bytes(image: Path, most: int = -1) -> bytes:
    try:
        with image.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise SourceError(f"cannot read: {error.strerror}", where=str(image)) from None


def read_image(image: Path, version: str | None = None) -> PrebuiltKernel:
    """Describes a bzImage or an Image on disk; raises `SourceError` when the file is neither."""
    data = _bytes(image)
    release = _release(data, arch_of(data, str(image)))
    sha256 = files.sha256_of(image)
    kernel = Kernel(kernel_id=sha256[:16], base_version=version or release, image_sha256=sha256)
    # As they lie in /boot, and in the cache.
    beside = [image.with_name(image.name.replace("vmlinuz", "config")), image.with_name("config")]
    config = next((file for file in beside if file != image and file.is_file()), None)
    return PrebuiltKernel(kernel, image, release, config)


def _release(data: bytes, arch: ArchName) -> str:
    if arch == "arm64":
        found = _BANNER.search(data)
        return found[1].decode("ascii") if found else ""
    # Documentation/arch/x86/boot.rst: kernel_version points, less 0x200, to a string.
    start = int.from_bytes(data[_HEADER_VERSION], "little") + 0x200
    banner = data[start : start + 256].split(b"\0")[0].decode("ascii", "replace")
    return banner.split(" ")[0]


def fetch_prebuilt(package: str, cache: Path) -> PrebuiltKernel:
    """Gets the kernel of a ``linux-image-*`` package; a meta package leads to the real one.

    Without the network the newest one in the cache is answered. Raises `HostError` when there is
    none, `SourceError` when the package is altered, cut short or holds no kernel.
    """
    folder = cache / "prebuilt"
    with files.locked(folder / ".lock"):
        files.sweep(folder)
        try:
            return _fetch(package, folder, _apt_of(package, cache))
        except HostError:
            known = {k.kernel.base_version: k for k in _cached(package, folder)}
            if not known:
                raise
            return known[newest(known)]


def _apt_of(package: str, cache: Path) -> Apt:
    """The host's apt, or where a package by its name is of another architecture, one for that."""
    if not package.endswith("-arm64") or ARM64.native:
        return HOST
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    if not codename:
        raise HostError(f"no suite of Debian to take {package} from", where="/etc/os-release")
    return suite(Suite(suite=codename), cache, "arm64")


def _fetch(package: str, folder: Path, apt: Apt) -> PrebuiltKernel:
    real = lookup(package, apt=apt)
    # linux-image-6.12-cloud-amd64 is a meta package too: a name does not tell, a dependency does.
    if re.search(r"(^|[,|])\s*linux-image-\d", real.depends):
        real = lookup(*dependency(real, r"linux-image-\d.*"), apt)
    final = folder / f"{real.name}_{real.version}"
    if known := _load(final):
        return known
    with files.filling(final) as part:
        deb = download(real, part)
        with contents(deb) as archive:
            for member in archive:
                match = re.fullmatch(r"\./boot/(vmlinuz|config|System\.map)-.*", member.name)
                file = archive.extractfile(member) if match else None
                if match and file:
                    with (part / match[1]).open("wb") as out:
                        shutil.copyfileobj(file, out)
        deb.unlink()
        if not (part / "vmlinuz").is_file():
            raise SourceError("holds no /boot/vmlinuz", where=f"{real.name} {real.version}")
        facts = {"asked": package, "version": real.version, "deb_sha256": real.sha256}
        facts["image_sha256"] = files.sha256_of(part / "vmlinuz")
        (part / _FACTS_FILE).write_text(json.dumps(facts, indent=1) + "\n")
    return read_image(final / "vmlinuz", real.version)


def _cached(package: str, folder: Path) -> list[PrebuiltKernel]:
    kernels = []
    for path in folder.glob(f"*/{_FACTS_FILE}"):
        kernel = _load(path.parent)
        if kernel and json.loads(path.read_bytes()).get("asked") == package:
            kernels.append(kernel)
    return kernels


def _load(folder: Path) -> PrebuiltKernel | None:
    try:
        facts = json.loads((folder / _FACTS_FILE).read_bytes())
        known = read_image(folder / "vmlinuz", facts["version"])
        return known if known.kernel.image_sha256 == facts["image_sha256"] else None
    except (OSError, ValueError, KeyError, SourceError):
        return None
