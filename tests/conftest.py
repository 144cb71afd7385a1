# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures of all tests."""

from pathlib import Path

import pytest

from tests.support.checkout import lay_checkout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One in `tmp_path`, and we are in it."""
    root = tmp_path / "checkout"
    for name, value in lay_checkout(root).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(root)
    return root
