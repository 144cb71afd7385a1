# SPDX-License-Identifier: GPL-2.0-only
"""What the tests over SSH share; they skip where there is no SSH server to start."""

import pytest

from tests.sshd import BINARY, Lab


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab without hosts yet; `HOME` is empty and there is no agent."""
    if not BINARY:
        pytest.skip("no sshd here: apt-get install openssh-server")
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "own"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    lab = Lab(tmp_path)
    yield lab
    lab.stop()
