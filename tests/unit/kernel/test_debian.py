# SPDX-License-Identifier: GPL-2.0-only
"""Packages of a suite that the host's apt does not know: from an archive on disk, signed or not."""

import hashlib
import os
import shutil
import subprocess

import pytest

from harness.errors import HostError, SourceError
from harness.kernel import debian
from harness.model.base import Suite

NEEDED = ("gpg", "apt-get", "dpkg-deb")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}"
)


def run(*argv, **more):
    subprocess.run(argv, check=True, capture_output=True, **more)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two keys; answers the environment of gpg, and the keyring of each."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    env = {**os.environ, "GNUPGHOME": str(home)}
    rings = []
    for name in ("ours", "theirs"):
        user = f"{name}@localhost"
        words = ("--batch", "--passphrase", "", "--quick-generate-key", user, "ed25519", "sign")
        run("gpg", *words, env=env)
        rings.append(home / f"{name}.gpg")
        run("gpg", "--export", "--output", rings[-1], user, env=env)
    yield env, *rings
    subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=env, check=False)


@pytest.fixture
def archive(tmp_path, keys):
    """An archive with a package of no content in the suite `near`; answers what publishes it."""
    env = keys[0]
    root = tmp_path / "archive"

    def publish(version="7.3.4-1", sign=True):
        package = tmp_path / "package"
        (package / "DEBIAN").mkdir(parents=True, exist_ok=True)
        control = f"Package: linux-source-7.3\nVersion: {version}\nArchitecture: all\n"
        (package / "DEBIAN/control").write_text(
            control + "Maintainer: x <x@localhost>\nDescription: x\n"
        )
        lists = root / "dists/near/main/binary-amd64"
        lists.mkdir(parents=True, exist_ok=True)
        (root / "pool").mkdir(exist_ok=True)
        file = root / f"pool/linux-source-7.3_{version}_all.deb"
        run("dpkg-deb", "--build", package, file)
        data = file.read_bytes()
        text = f"{control}Filename: pool/{file.name}\nSize: {len(data)}\n"
        text += f"SHA256: {hashlib.sha256(data).hexdigest()}\nDescription: x\n"
        (lists / "Packages").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        release = "Suite: near\nCodename: near\nArchitectures: amd64\nComponents: main\n"
        release += "Date: Mon, 30 Nov 2026 00:00:00 UTC\nSHA256:\n"
        release += f" {digest} {len(text)} main/binary-amd64/Packages\n"
        folder = root / "dists/near"
        (folder / "Release").write_text(release)
        (folder / "InRelease").unlink(missing_ok=True)
        if sign:
            words = ("--batch", "--local-user", "ours@localhost", "--clearsign", "--output")
            run("gpg", *words, folder / "InRelease", folder / "Release", env=env)
        return file

    return publish, root


def asked(root, ring, **more) -> Suite:
    return Suite(**{"suite": "near", "uri": f"file://{root}", "keyring": ring} | more)


def test_a_package_of_a_suite_is_as_its_signed_lists_say(archive, keys, tmp_path):
    publish, root = archive
    file = publish()
    cache = tmp_path / "cache"
    apt = debian.suite(asked(root, keys[1]), cache)
    found = debian.lookup("linux-source-7.3", apt=apt)
    assert (found.version, found.size) == ("7.3.4-1", file.stat().st_size)
    assert debian.versions("linux-source-7.3", apt) == ["7.3.4-1"]
    (tmp_path / "here").mkdir()
    got = debian.download(found, tmp_path / "here")
    assert got.read_bytes() == file.read_bytes()
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    got.unlink()
    with pytest.raises((HostError, SourceError)):
        debian.download(found, tmp_path / "here")
    with pytest.raises(HostError, match=r"near of file://.* has no package linux-source-9"):
        debian.lookup("linux-source-9", apt=apt)


@pytest.mark.parametrize("wrong", ["unsigned", "another key", "no suite", "no keyring"])
def test_lists_that_nobody_signed_are_refused(archive, keys, tmp_path, wrong):
    publish, root = archive
    publish(sign=wrong != "unsigned")
    more = {"no suite": {"suite": "far"}, "no keyring": {"keyring": tmp_path / "none.gpg"}}
    suite = asked(root, keys[2 if wrong == "another key" else 1], **more.get(wrong, {}))
    apt = debian.suite(suite, tmp_path / "cache")
    with pytest.raises(HostError, match="no lists of") as caught:
        debian.lookup("linux-source-7.3", apt=apt)
    assert "keyring" in str(caught.value.remedy)


def test_lists_that_cannot_be_renewed_are_used_as_they_are(archive, keys, tmp_path, caplog):
    publish, root = archive
    publish()
    apt = debian.suite(asked(root, keys[1]), tmp_path / "cache")
    debian.lookup("linux-source-7.3", apt=apt)
    shutil.rmtree(root / "dists")
    os.utime(apt.lists, (0, 0))
    debian.refresh.cache_clear()
    assert debian.lookup("linux-source-7.3", apt=apt).version == "7.3.4-1"
    assert "its lists are as they were" in caplog.text
