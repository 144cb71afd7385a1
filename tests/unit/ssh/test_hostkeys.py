# SPDX-License-Identifier: GPL-2.0-only
"""Which host keys are believed; how servers show them is in tests/ssh/test_hosts."""

import base64
import itertools
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko import ECDSAKey, Ed25519Key

from harness.errors import Failure, RemoteError
from harness.ssh.hostkeys import KnownHosts
from harness.ssh.login import generate_key


def a_key():
    return Ed25519Key(data=base64.b64decode(generate_key()[1].split()[1]))


GOOD, OTHER = a_key(), a_key()
ECDSA = ECDSAKey.generate()


def line(name, key=GOOD, mark=""):
    return f"{mark}{name} {key.get_name()} {key.get_base64()}\n"


@pytest.fixture
def known(tmp_path):
    """Reads files with these texts; `record` is where new keys go."""

    def read(*texts, record=None):
        paths = [tmp_path / f"known-{n}" for n, _ in enumerate(texts)]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return KnownHosts(paths or [tmp_path / "none"], record)

    return read


def failure(hosts, address="a", port=22, key=GOOD):
    try:
        hosts.check(address, port, key)
    except RemoteError as error:
        return error.failure
    return None


@pytest.mark.parametrize(
    ("text", "shown", "why"),
    [
        (line("a"), ("a", 22, GOOD), None),
        (line("a"), ("a", 2222, GOOD), Failure.UNKNOWN_KEY),
        (line("[a]:2222"), ("a", 2222, GOOD), None),
        (line("[a]:2222"), ("a", 22, GOOD), Failure.UNKNOWN_KEY),
        (line("b,a"), ("a", 22, GOOD), None),
        (line("a"), ("a", 22, OTHER), Failure.CHANGED_KEY),
        (line("a"), ("a", 22, ECDSA), Failure.CHANGED_KEY),
        (line("a") + line("a", ECDSA), ("a", 22, ECDSA), None),
        (line("*"), ("a", 22, GOOD), Failure.UNKNOWN_KEY),
        (line("a", mark="@cert-authority "), ("a", 22, GOOD), Failure.UNKNOWN_KEY),
        (line("a") + line("*", mark="@revoked "), ("a", 22, GOOD), Failure.REVOKED_KEY),
        (line("*", mark="@revoked "), ("b", 22, GOOD), Failure.REVOKED_KEY),
        (f"# {line('a')}", ("a", 22, GOOD), Failure.UNKNOWN_KEY),
        ("", ("a", 22, GOOD), Failure.UNKNOWN_KEY),
    ],
    ids=itertools.count(),  # keys are others each time
)
def test_a_key_is_believed_where_the_host_is_known_by_it(known, text, shown, why):
    assert failure(known(text), *shown) == why


def test_a_revoked_key_of_any_file_is_refused(known):
    hosts = known(line("a"), line("x", mark="@revoked "))
    assert failure(hosts) == Failure.REVOKED_KEY


def test_a_damaged_line_that_names_the_host_is_said_and_not_blamed_on_it(known):
    text = line("a")
    hosts = known(text[: len(text) // 2] + "\n" + line("b"))
    assert failure(hosts, "b") is None
    with pytest.raises(RemoteError, match=r"line 1 of .*known-0") as error:
        hosts.check("a", 22, GOOD)
    assert error.value.failure == Failure.UNKNOWN_KEY
    whole = known(text[: len(text) // 2] + "\n" + text)
    assert failure(whole) is None and failure(whole, key=OTHER) == Failure.UNKNOWN_KEY


@given(cut=st.integers(1, len(line("a")) - 2))
def test_no_part_of_a_key_is_believed(cut):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "known")
        path.write_text(line("a")[:cut])
        assert failure(KnownHosts([path])) == Failure.UNKNOWN_KEY


def test_a_new_key_is_recorded_where_that_was_asked_for(known, tmp_path):
    record = tmp_path / "new/known"
    record.parent.mkdir()
    hosts = known(record=record)
    assert failure(hosts, "a", 2222) is None
    assert record.read_text() == line("[a]:2222")
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert failure(hosts, "a", 2222, OTHER) == Failure.CHANGED_KEY
    assert failure(KnownHosts([record]), "a", 2222) is None
    assert record.read_text().count("\n") == 1


def test_the_kinds_that_are_known_are_asked_for(known):
    hosts = known(line("a") + line("a", ECDSA))
    assert set(hosts.kinds("a", 22)) == {"ssh-ed25519", "ecdsa-sha2-nistp256"}
    assert hosts.kinds("a", 2222) == ()
