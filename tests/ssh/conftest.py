# SPDX-License-Identifier: GPL-2.0-only
"""What the tests over SSH share; they skip where there is no SSH server to start."""

from pathlib import Path

import pytest

from harness.project import Project
from harness.run.session import prepare
from tests.support.sshd import BINARY, Lab


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


@pytest.fixture
def session(checkout):
    path = checkout / "experiments/pair.yaml"
    path.write_text(path.read_text().replace("warmup: 1", "warmup: 0"))
    project = Project.find(checkout, checkout.parent / "cache")
    return prepare(project, project.experiment(Path("experiments/pair.yaml")))


@pytest.fixture
def hosts(lab, session, checkout):
    """No hosts yet; an experiment of two blocks of two boots."""
    pytest.importorskip("distributed")
    from tests.support.hosts import Lab

    return Lab(lab, session, checkout)
