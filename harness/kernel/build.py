# SPDX-License-Identifier: GPL-2.0-only
"""Builds a kernel from a patched tree and fragments, once: the store answers ever after.

A kernel is named by what its bytes depend on: the id of the tree, the merged fragments, the
toolchain and the KBUILD_* values; nothing of the user's shell gets in. All variants of a base are
built in one work tree: from one to the next the files that differ are written, and make builds
only what they touch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from harness import process as tool
from harness.errors import BuildError, ConfigError, HostError
from harness.files import disk_errors, filling, locked, set_aside, sha256_of
from harness.kernel import kconfig
from harness.kernel.source import Source
from harness.model import ARCHS, Kernel, Model, Toolchain

EFFORT_FILE = "build.json"

_HIT = re.compile(r"^(?:direct|preprocessed)_cache_hit$", re.M)


class Effort(Model):
    """A build from the switch of the work tree to the image.

    Of the compiled `objects` ccache had `reused`; `fresh` tells that the build folder was new.
    """

    seconds: float
    objects: int
    reused: int
    jobs: int
    fresh: bool

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The effort of the kernel in `folder`; none where nothing was recorded."""
        try:
            return cls.model_validate_json((folder / EFFORT_FILE).read_bytes())
        except (OSError, ValueError):
            return None

    def write(self, folder: Path) -> None:
        (folder / EFFORT_FILE).write_text(self.model_dump_json(indent=1) + "\n")


def cache_hits(log: Path) -> int:
    """How many objects came from ccache, by its CCACHE_STATSLOG; 0 where it wrote none."""
    return len(_HIT.findall(log.read_text(errors="replace"))) if log.is_file() else 0


log = logging.getLogger(__name__)

FIXED = {
    "KBUILD_BUILD_TIMESTAMP": "Wed Jan  1 00:00:00 UTC 2020",
    "KBUILD_BUILD_USER": "pageinit",
    "KBUILD_BUILD_HOST": "pageinit",
    "KBUILD_BUILD_VERSION": "1",
    "LC_ALL": "C",
}
"""What a build would take from its surroundings (Documentation/kbuild/reproducible-builds.rst)."""

HOST_GCC = Toolchain()

PROGRESS_S = 15.0
_NEEDED = ("make", "gcc", "flex", "bison", "bc")
WARNING = re.compile(r":(\d+:)* warning: |^WARNING: modpost")
_ERROR = re.compile(r"error: |Error \d+|undefined reference|No rule to make|fatal error")
_NO_SPACE = "No space left on device"


@dataclass(frozen=True)
class BuiltKernel:
    """A kernel in the store. A prebuilt one may lack `system_map` and `config`."""

    kernel: Kernel
    image: Path
    system_map: Path | None = None
    config: Path | None = None


@dataclass(frozen=True)
class Build:
    """One kernel to build: `asked` are the merged options, `toolchain` what compiles it.

    `chosen` is the toolchain where somebody chose one.
    """

    source: Source
    tree: str
    asked: kconfig.Config = field(repr=False)
    toolchain: str
    chosen: Toolchain = HOST_GCC

    @property
    def fragment(self) -> str:
        """The merged fragments as text; ``=n`` becomes what kconfig reads as "not set"."""
        return "".join(
            f"# CONFIG_{name} is not set\n" if option.value == "n" else f"{option}\n"
            for name, option in sorted(self.asked.items())
        )

    @property
    def kernel_id(self) -> str:
        """16 hex digits over everything that the image's bytes depend on."""
        parts = (self.tree, self.fragment, self.toolchain, json.dumps(FIXED, sort_keys=True))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def config_id(self) -> str:
        """Names the build folder: one for each configuration, and each toolchain chosen."""
        chosen = "" if self.chosen == HOST_GCC else f"\0{self.toolchain}"
        return hashlib.sha256((self.fragment + chosen).encode()).hexdigest()[:12]


def build(
    source: Source,
    tree: str,
    fragments: Sequence[Path],
    cache: Path,
    chosen: Toolchain = HOST_GCC,
    *,
    options: Mapping[str, str] | None = None,
    jobs: int = 0,
) -> BuiltKernel:
    """Answers the kernel of a tree and a configuration; builds it when the store has none.

    One that is not what the store recorded of it is set aside, and built anew. `options` override
    those of the fragments. `jobs` is make's, 0 for one a CPU. Raises `ConfigError` when fragments
    disagree or the kernel drops an option, `BuildError` when it does not compile, `HostError` for a
    missing tool or a full disk.
    """
    job = plan(source, tree, fragments, chosen, options)
    if found := _stored(job, cache):
        return found
    work = cache / "work" / source.folder.name
    with locked(work / ".lock", lambda: log.info("waiting for another build of this base")):
        if found := _stored(job, cache):
            return found
        folder = cache / "kernels" / job.kernel_id
        if fault := _fault(job, folder):
            log.warning(f"set aside as {set_aside(folder)}: {fault}")
        log.info(f"building kernel {job.kernel_id} ({source.version})")
        with disk_errors(work):
            start = time.monotonic()
            out = configure(job, work)
            warnings, effort = make(job, out, cache, jobs or os.cpu_count() or 1, start=start)
            return _keep(job, out, cache, warnings, effort)


def known(
    source: Source,
    tree: str,
    fragments: Sequence[Path],
    cache: Path,
    chosen: Toolchain = HOST_GCC,
    *,
    options: Mapping[str, str] | None = None,
) -> BuiltKernel | None:
    """The kernel if it is in the store already; raises `ConfigError` as `build` does."""
    return _stored(plan(source, tree, fragments, chosen, options), cache)


def kept(kernel_id: str, cache: Path) -> BuiltKernel:
    """A kernel of the store by its id; raises `BuildError` where it is gone, or is not whole."""
    folder = cache / "kernels" / kernel_id
    try:
        kernel = Kernel.model_validate_json((folder / "kernel.json").read_bytes())
        whole = sha256_of(_image(folder)) == kernel.image_sha256
    except (OSError, ValueError):
        whole = False
    if not whole:
        raise BuildError("is not in the store any more", where=f"kernel {kernel_id}")
    return _built(kernel, folder)


def _built(kernel: Kernel, folder: Path) -> BuiltKernel:
    return BuiltKernel(kernel, _image(folder), folder / "System.map", folder / "config")


def _image(folder: Path) -> Path:
    """The image of a kernel in the store: each architecture has a name for it."""
    found = (folder / arch.image for arch in ARCHS.values())
    return next(filter(Path.is_file, found), folder / "bzImage")


def plan(
    source: Source,
    tree: str,
    fragments: Sequence[Path],
    chosen: Toolchain = HOST_GCC,
    options: Mapping[str, str] | None = None,
) -> Build:
    """What `build` would build; raises `ConfigError`, or `HostError` for a missing compiler."""
    asked = kconfig.merge(
        kconfig.parse(path.read_text(encoding="utf-8"), str(path)) for path in fragments
    )
    asked = kconfig.overridden(asked, options or {}, "the variant")
    return Build(source, tree, asked, toolchain(chosen), chosen)


def toolchain(chosen: Toolchain = HOST_GCC) -> str:
    """Compiler and linker with their versions, as they print them; then what make is told."""
    lines = [
        tool.run([name, "--version"], env=tool.environment()).stdout.decode("utf-8", "replace")
        for name in (chosen.cc, chosen.linker)
    ]
    named = (f"CC={chosen.compiler}",) if chosen.compiler else ()
    return "; ".join([*(said.partition("\n")[0] for said in lines), *named, *chosen.words])


def _fault(job: Build, folder: Path) -> str | None:
    """How a folder of the store is not the kernel that it is named after; none where it is."""
    if not folder.exists():
        return None
    try:
        kernel = Kernel.model_validate_json((folder / "kernel.json").read_bytes())
        hashes = sha256_of(_image(folder)), sha256_of(folder / "config")
    except (OSError, ValueError) as error:
        return f"it is not whole: {error}".splitlines()[0]
    if (kernel.kernel_id, kernel.tree) != (job.kernel_id, job.tree):
        return f"it is kernel {kernel.kernel_id} of tree {kernel.tree}"
    if kernel.image_sha256 != hashes[0]:
        return f"the image has SHA-256 {hashes[0]}, recorded is {kernel.image_sha256}"
    if kernel.config_sha256 != hashes[1]:
        return f"the configuration has SHA-256 {hashes[1]}, recorded is {kernel.config_sha256}"
    return None


def _stored(job: Build, cache: Path) -> BuiltKernel | None:
    folder = cache / "kernels" / job.kernel_id
    if not folder.exists() or _fault(job, folder):
        return None
    kernel = Kernel.model_validate_json((folder / "kernel.json").read_bytes())
    return _built(kernel, folder)


def configure(job: Build, work: Path, *, strict: bool = True) -> Path:
    """Switches the work tree, makes the `.config`, checks it if `strict`; answers the build folder.

    All that is not as in the base is compiled anew: every build repeats the warnings of its own.
    """
    for name in (*_NEEDED, job.chosen.cc, job.chosen.linker):
        if not shutil.which(name):
            raise tool.missing(name)
    if re.search(r"[\s:]", str(work)):
        raise HostError(
            "the kernel's make takes no path with a space or a colon",
            where=str(work),
            remedy="name another cache folder in PAGEINIT_CACHE",
        )
    linux = work / "linux"
    repository = job.source.repository
    repository.check_out(job.tree, linux, work / "index")
    # A file that is of no tree, as `localversion-mine`, is of no kernel either.
    repository.clean(linux, work / "index", "/build-*")
    changes = repository.changes(job.source.tree, job.tree)
    repository.renew([change.file for change in changes], linux, work / "index")
    out = linux / f"build-{job.config_id}"
    out.mkdir(exist_ok=True)
    fragment = out / "fragment.config"
    fragment.write_text(job.fragment, encoding="utf-8")
    argv = ["make", "-s", f"O={out.name}", f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig"]
    argv += [f"CC={job.chosen.cc}", *job.chosen.words]
    # Without a terminal and with stdin closed kconfig never asks.
    tool.run(argv, cwd=linux, env={**tool.environment(), **FIXED})
    if strict:
        _verify(job, linux, out)
    return out


def _verify(job: Build, linux: Path, out: Path) -> None:
    got = kconfig.parse((out / ".config").read_text(encoding="utf-8"), ".config")
    lost = kconfig.missing(job.asked, got)
    if not lost:
        return
    lines = []
    for item in lost:
        blocks = _definitions(linux, item.asked.name)
        reason = kconfig.explain(item, blocks, got)
        lines.append(f"{item.asked.where}: {item.asked} became {item.got}: {reason}")
    raise ConfigError(
        "\n  ".join([f"{len(lost)} option(s) did not survive configuration:", *lines]),
        remedy="add what they depend on to a fragment, or drop them",
    )


def _definitions(linux: Path, name: str) -> list[str]:
    argv = ["grep", "-rlE", "--include=Kconfig*", rf"^\s*(menu)?config {name}\s*$", "."]
    files = tool.run(argv, cwd=linux, check=False).stdout.decode().split()
    return [
        block
        for file in files
        for block in kconfig.definitions((linux / file).read_text(errors="replace"), name)
    ]


def make(job: Build, out: Path, cache: Path, jobs: int, *, start: float) -> tuple[int, Effort]:
    """Runs make to its end; answers the number of warnings, and the effort since `start`."""
    # CC never changes between two builds in one folder: that would build everything again.
    compiler = f"ccache {job.chosen.cc}" if shutil.which("ccache") else job.chosen.cc
    argv = ["make", f"-j{jobs}", f"CC={compiler}", *job.chosen.words, job.chosen.architecture.image]
    hits = out / "ccache.log"
    hits.unlink(missing_ok=True)
    env = {"CCACHE_DIR": str(cache / "ccache"), "CCACHE_STATSLOG": str(hits)}
    env |= {**tool.environment(), **FIXED}
    warnings, errors, objects = 0, deque[str](maxlen=8), 0
    fresh, said = not (out / "vmlinux").exists(), time.monotonic()
    with (out / "build.log").open("w", encoding="utf-8") as record, _running(argv, out, env) as run:
        assert run.stdout
        for line in run.stdout:
            record.write(line)
            objects += line.startswith("  CC ")
            warnings += bool(WARNING.search(line))
            if (_ERROR.search(line) and len(errors) < 8) or _NO_SPACE in line:
                errors.append(line.rstrip())
            if time.monotonic() - said > PROGRESS_S:
                said = time.monotonic()
                log.info(f"building kernel {job.kernel_id}: {objects} objects compiled")
    if run.returncode:
        raise _broken(out, errors, run.returncode, cache, job)
    seconds = round(time.monotonic() - start, 1)
    reused = cache_hits(hits)
    return warnings, Effort(seconds=seconds, objects=objects, reused=reused, jobs=jobs, fresh=fresh)


@contextlib.contextmanager
def _running(
    argv: Sequence[str], cwd: Path, env: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """make in a process group of its own, which ends with us: no compiler is left behind."""
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=tool.bound(signal.SIGTERM),  # noqa: PLW1509, it calls prctl alone
    ) as process:
        try:
            yield process
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _broken(out: Path, errors: Sequence[str], code: int, cache: Path, job: Build) -> Exception:
    kept = cache / "kernels" / f"failed-{job.kernel_id}.log"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(out / "build.log", kept)
    if any(_NO_SPACE in line for line in errors):
        return HostError(_NO_SPACE, where=str(out), remedy="make room; 3 GiB are needed a base")
    text = "\n  ".join([f"the kernel does not compile (make: exit status {code}):", *errors])
    return BuildError(text, where=str(kept))


def _keep(job: Build, out: Path, cache: Path, warnings: int, effort: Effort) -> BuiltKernel:
    final = cache / "kernels" / job.kernel_id
    with filling(final) as part:
        arch = job.chosen.architecture
        shutil.copyfile(out / arch.folder / arch.image, part / arch.image)
        shutil.copyfile(out / "System.map", part / "System.map")
        shutil.copyfile(out / ".config", part / "config")
        shutil.copyfile(out / "build.log", part / "build.log")
        kernel = Kernel(
            kernel_id=job.kernel_id,
            base_version=job.source.version,
            tree=job.tree,
            config_sha256=sha256_of(part / "config"),
            image_sha256=sha256_of(part / arch.image),
            toolchain=job.toolchain,
            build_warnings=warnings,
        )
        effort.write(part)
        (part / "kernel.json").write_text(kernel.model_dump_json(indent=1) + "\n")
    found = _stored(job, cache)
    assert found
    return found
