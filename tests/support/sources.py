# SPDX-License-Identifier: GPL-2.0-only
"""Sources of a kernel that are three files, and series for them."""

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

from harness.model.base import Base
from tests.support.checkout import BASE

MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\nEXTRAVERSION =\n"
KBUILD = (
    MAKEFILE
    + """
allnoconfig:
\t@cp $(KCONFIG_ALLCONFIG) $(O)/.config
\t@echo 'include ../Makefile' > $(O)/Makefile
bzImage:
\t@mkdir -p arch/x86/boot
\t@(env; echo CC=$(CC) LLVM=$(LLVM) CROSS_COMPILE=$(CROSS_COMPILE)) | sort > arch/x86/boot/bzImage
\t@touch vmlinux System.map
\t@echo '  CC  x.o'
"""
)
"""A kernel that "compiles" to what make was told."""

MM = "".join(f"line {n}\n" for n in range(1, 21))


def tarball(path: Path, files: dict[str, str]) -> str:
    with tarfile.open(path, "w:xz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"linux/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def series(folder: Path, name: str, old: str, new: str) -> Path:
    """A series of one patch, written as a diff of mm/page.c."""
    (folder / name).mkdir()
    a, b = folder / name / "old", folder / name / "new"
    a.write_text(old)
    b.write_text(new)
    argv = ["diff", "-u", "--label", "a/mm/page.c", "--label", "b/mm/page.c", a, b]
    diff = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    (folder / name / "0001-change.patch").write_text(f"Subject: change\n---\n\n{diff}")
    (folder / name / "series").write_text("# one\n0001-change.patch\n")
    return folder / name


def lay_base(checkout: Path, makefile: str = MAKEFILE) -> Path:
    """Makes the base of a checkout one of two files; answers the folder of its series."""
    archive = checkout.parent / "linux.tar.xz"
    sha256 = tarball(archive, {"Makefile": makefile, "mm/page.c": MM})
    patches = checkout / "kernel-patches"
    provider = f"{{tarball: {{path: {archive}, sha256: {sha256}}}}}"
    (checkout / BASE).write_text(f"version: '6.12'\nprovider: {provider}\n")
    (patches / "configs").mkdir()
    (patches / "configs/base.config").write_text("CONFIG_NUMA=y\n")
    return patches


def built_from_source(checkout: Path, keys: str) -> Path:
    """Makes variant `two` one that is built, from such a base; answers the folder of its series."""
    patches = lay_base(checkout)
    text = f"description: d\n{keys}\nfragments: [base]\n"
    (patches / "variants/two.yaml").write_text(text)
    return patches


def base(path: Path, sha256: str, version: str = "6.12") -> Base:
    data = {"version": version, "provider": {"tarball": {"path": path, "sha256": sha256}}}
    return Base.parse({"name": "6.12", **data}, "6.12.yaml")
