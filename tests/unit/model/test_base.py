# SPDX-License-Identifier: GPL-2.0-only
"""Files of kernel-patches/bases/: one provider, one way to say which bytes, paths of the file."""

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.model import arch
from harness.model.base import Base, Toolchain
from tests.support.checkout import ROOT

SHA256 = "0" * 64
CROSS = "aarch64-linux-gnu-"
PINNED = [{"version": "6.12.1-1", "sha256": SHA256}]


def parse(**keys):
    return Base.parse({"name": "x", "version": "6.12", **keys}, "x.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "kernel-patches/bases").glob("*.yaml")), ids=str)
def test_every_base_of_the_checkout_is_one(path):
    found = Base.load(path)
    assert found.name == path.stem and found.homes[0] == found.name


@pytest.mark.parametrize(
    ("provider", "why"),
    [
        ({}, "given: none"),
        (
            {
                "debian": {"package": "linux-source-6.12"},
                "git": {"url": "https://x", "commit": "a"},
            },
            "given: debian, git",
        ),
        ({"tarball": {"sha256": SHA256}}, "either url or path"),
        (
            {"tarball": {"sha256": SHA256, "url": "https://x", "path": "y"}},
            "either url or path",
        ),
        ({"tarball": {"path": "y"}}, "sha256"),
        ({"tarball": {"path": "y", "sha256": "0" * 63}}, "a SHA-256"),
        ({"tarball": {"url": "ftp://x", "sha256": SHA256}}, "an URL of http or file"),
        ({"git": {"path": "y"}}, "either commit or revision"),
        ({"git": {"path": "y", "commit": "a", "revision": "b"}}, "either commit or revision"),
        ({"git": {"path": "y", "commit": "--upload-pack=x"}}, "the id of a commit"),
        ({"git": {"url": "--upload-pack=x", "commit": "a"}}, "an URL that git fetches from"),
        ({"debian": {"package": "Linux Source"}}, "the name of a Debian package"),
        (
            {"debian": {"package": "linux-source", "version": "6.12", "pinned": PINNED}},
            "either pinned, or version and sha256",
        ),
    ],
)
def test_a_provider_that_is_none_is_named(provider, why):
    with pytest.raises(UserError, match=why):
        parse(provider=provider)


GIT = {"git": {"url": "https://x", "commit": "a"}}


@pytest.mark.parametrize("version", ["6", "6.12.117", "7.3"])
def test_versions_are_what_a_makefile_says(version):
    assert parse(version=version, provider=GIT).version == version


@pytest.mark.parametrize("version", ["6.12-rc1", "v6.12", "6.12.1.2", "6.12\n", ""])
def test_other_words_are_no_version(version):
    with pytest.raises(UserError, match=r"a version as 6\.12"):
        parse(version=version, provider=GIT)


@pytest.mark.parametrize(
    ("keys", "cc", "linker", "words"),
    [
        ({}, "gcc", "ld", ()),
        ({"compiler": "gcc-12"}, "gcc-12", "ld", ()),
        ({"llvm": True}, "clang", "ld.lld", ("LLVM=1",)),
        ({"llvm": "-15"}, "clang-15", "ld.lld-15", ("LLVM=-15",)),
        (
            {"cross": "x86_64-linux-gnu-"},
            "x86_64-linux-gnu-gcc",
            "x86_64-linux-gnu-ld",
            ("CROSS_COMPILE=x86_64-linux-gnu-",),
        ),
        (
            {"llvm": True, "cross": "x86_64-linux-gnu-", "compiler": "clang-19"},
            "clang-19",
            "ld.lld",
            ("LLVM=1", "CROSS_COMPILE=x86_64-linux-gnu-"),
        ),
    ],
)
def test_a_toolchain_says_what_compiles_links_and_is_told_to_make(keys, cc, linker, words):
    found = Toolchain.parse(keys, "x")
    assert (found.cc, found.linker, found.words) == (cc, linker, words)


@pytest.mark.parametrize("keys", [{"compiler": "gcc -O0"}, {"llvm": "15"}, {"cross": "../x-"}])
def test_a_toolchain_is_names_and_no_command(keys):
    with pytest.raises(UserError):
        Toolchain.parse(keys, "x")


def test_the_newest_of_a_package_is_without_its_pins():
    debian = {"package": "linux-source-6.12", "pinned": PINNED}
    found = parse(provider={"debian": debian}).newest
    assert found.provider.debian.pinned == ()
    assert found.provider.debian.package == "linux-source-6.12"
    same = parse(provider=GIT)
    assert same.newest is same


def test_a_path_is_found_beside_the_file_or_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir("/")
    for asked, found in (
        ("linux", tmp_path / "linux"),
        ("/srv/linux", Path("/srv/linux")),
        ("~/linux", tmp_path / "home/linux"),
    ):
        file = tmp_path / "x.yaml"
        file.write_text(f"version: '6.12'\nprovider: {{git: {{path: {asked}, commit: a}}}}\n")
        assert Base.load(file).provider.git.path == found
    file.write_text(
        f"version: '6.12'\nprovider: {{tarball: {{path: x.tar, sha256: '{SHA256}'}}}}\n"
    )
    assert Base.load(file).provider.tarball.path == tmp_path / "x.tar"


def test_where_there_is_no_port_that_of_another_base_is_looked_for():
    assert parse(provider=GIT).homes == ("x",)
    assert parse(provider=GIT, ports="6.12").homes == ("x", "6.12")


@pytest.mark.parametrize(
    ("chosen", "host", "told"),
    [
        ({}, "x86_64", ("gcc", "ld")),
        ({"cross": "x-"}, "x86_64", ("x-gcc", "x-ld", "CROSS_COMPILE=x-")),
        (
            {"arch": "arm64"},
            "x86_64",
            (f"{CROSS}gcc", f"{CROSS}ld", "ARCH=arm64", f"CROSS_COMPILE={CROSS}"),
        ),
        ({"arch": "arm64"}, "aarch64", ("gcc", "ld")),
        (
            {"arch": "arm64", "llvm": "-19"},
            "x86_64",
            ("clang-19", "ld.lld-19", "ARCH=arm64", "LLVM=-19", f"CROSS_COMPILE={CROSS}"),
        ),
    ],
)
def test_a_toolchain_is_what_make_is_told(monkeypatch, chosen, host, told):
    monkeypatch.setattr(arch.platform, "machine", lambda: host)
    made = Toolchain(**chosen)
    assert (made.cc, made.linker, *made.words) == told


def test_a_toolchain_of_before_there_were_architectures_is_what_it_was():
    assert Toolchain(cross="x-").model_dump() == {"compiler": None, "llvm": False, "cross": "x-"}
    assert Toolchain(arch="arm64").model_dump()["arch"] == "arm64"
