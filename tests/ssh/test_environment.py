# SPDX-License-Identifier: GPL-2.0-only
"""A host that names no interpreter gets a virtual environment, from a package index."""

import subprocess
import sys
from importlib import metadata

import pytest

from harness.hosts.bootstrap import NEEDED
from tests.support.hosts import home

pytestmark = pytest.mark.ssh


def reachable(folder) -> bool:
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    pin = f"{NEEDED[-2]}=={metadata.version(NEEDED[-2])}"
    return (
        subprocess.run([*argv, pin], capture_output=True, timeout=60, check=False).returncode == 0
    )


def test_a_virtual_environment_is_made_once(hosts, tmp_path):
    if not reachable(tmp_path / "download"):
        pytest.skip("no package index can be reached")
    server = hosts.serve("one", python=None)
    assert hosts.run() == 0
    assert hosts.counted() == 4
    (place,) = home(server).glob("venv-*")
    made = (place / "ready").stat().st_mtime_ns
    hosts.again()
    assert hosts.run() == 0
    assert list(home(server).glob("venv-*")) == [place]
    assert (place / "ready").stat().st_mtime_ns == made
