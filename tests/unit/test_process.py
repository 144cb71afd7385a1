# SPDX-License-Identifier: GPL-2.0-only
"""Other programs."""

import pytest

from harness import process
from harness.errors import HostError


def test_tool_errors_say_what_to_install_and_what_was_said():
    with pytest.raises(HostError, match="apt-get install flex"):
        raise process.missing("flex")
    with pytest.raises(HostError, match="no-such-program is not installed"):
        process.run(["no-such-program"])
    with pytest.raises(HostError, match="exit status 3:\n  wrong"):
        process.run(["sh", "-c", "echo wrong >&2; exit 3"])


def test_what_makes_bytes_knows_named_variables_only(monkeypatch):
    monkeypatch.setenv("CPATH", "/x")
    monkeypatch.setenv("TMPDIR", "/t")
    known = process.environment()
    assert known["TMPDIR"] == "/t" and known["LC_ALL"] == "C"
    assert set(known) <= {*process.PASSED, "LC_ALL"}
