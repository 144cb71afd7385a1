# SPDX-License-Identifier: GPL-2.0-only
"""A host that names no interpreter gets a virtual environment, from a package index."""

import subprocess
import sys
from importlib import metadata

import pytest

from harness.hosts.wheel import NEEDED
from tests.ssh.fleet import fleet_folder

pytestmark = pytest.mark.ssh


def reachable(folder) -> bool:
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    pin = f"{NEEDED[-1]}=={metadata.version(NEEDED[-1])}"
    return (
        subprocess.run([*argv, pin], capture_output=True, timeout=60, check=False).returncode == 0
    )


def test_a_virtual_environment_is_made_once(either, tmp_path):
    if not reachable(tmp_path / "download"):
        pytest.skip("no package index can be reached")
    server = either.serve("one", python=None)
    assert either.run() == 0
    assert either.counted() == 4
    (place,) = fleet_folder(server).glob("venv-*")
    made = (place / "ready").stat().st_mtime_ns
    either.again()
    assert either.run() == 0
    assert list(fleet_folder(server).glob("venv-*")) == [place]
    assert (place / "ready").stat().st_mtime_ns == made
