# SPDX-License-Identifier: GPL-2.0-only
"""The keys that are offered, and in which order; nobody is asked for a password."""

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.errors import Failure, RemoteError
from harness.ssh.endpoint import Endpoint
from harness.ssh.login import DEFAULT, generate_key, keys, log_in


@pytest.fixture
def home(tmp_path, monkeypatch):
    """One without an agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def write(path, mode=0o600, data=None):
    path.write_bytes(data or generate_key()[0])
    path.chmod(mode)
    return str(path)


def offered(file):
    said = []
    return [key.get_base64() for key in keys(file, said.append)], said


def test_a_key_that_is_made_is_one_for_openssh():
    private, public = generate_key()
    assert private.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    assert public.startswith(b"ssh-ed25519 ") and public.endswith(b" pageinit\n")
    assert generate_key()[0] != private


def test_the_file_that_is_named_is_the_only_key(home):
    file = write(home / "mine")
    for name in DEFAULT:
        write(home / ".ssh" / name)
    found, said = offered("~/mine")
    assert found == [paramiko.PKey.from_path(file).get_base64()] and not said


def test_without_a_name_those_in_the_home_folder_are_taken_in_turn(home):
    files = [write(home / ".ssh" / name) for name in DEFAULT]
    found, said = offered(None)
    assert found == [paramiko.PKey.from_path(file).get_base64() for file in files] and not said


def protected():
    best = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.OpenSSH
    return Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, form, best)


@pytest.mark.parametrize(
    ("mode", "data", "why"),
    [
        (0o640, None, "can be read by others"),
        (0o604, None, "can be read by others"),
        (0o600, b"nonsense", "is no private key"),
        (0o600, bytes(999), "is no private key"),
        (0o600, protected(), "has a passphrase, which is not asked for"),
    ],
    ids=("group", "others", "text", "zeros", "passphrase"),
)
def test_a_file_that_cannot_be_used_is_named_and_not_shown(home, mode, data, why):
    file = write(home / "mine", mode, data)
    found, said = offered(file)
    assert found == [] and said[0].startswith(file) and why in said[0]
    assert "secret" not in "".join(said)


def test_a_file_that_is_not_there_is_named(home):
    assert offered("~/none") == ([], [f"{home}/none: No such file or directory"])


class Transport:
    """Of a server that takes these keys, and then wants more."""

    def __init__(self, good=(), more=()):
        self.good, self.more, self.asked = good, more, []

    def auth_publickey(self, user, key):
        self.asked.append((user, key.get_base64()))
        if key.get_base64() not in self.good:
            raise paramiko.AuthenticationException
        return list(self.more)


def endpoint(file=None):
    return Endpoint("h", "a", 22, "me", file)


def test_one_key_after_the_other_is_offered_until_one_is_taken(home):
    files = [write(home / ".ssh" / name) for name in DEFAULT]
    second = paramiko.PKey.from_path(files[1]).get_base64()
    transport = Transport([second])
    log_in(transport, endpoint())
    assert [user for user, _ in transport.asked] == ["me", "me"]
    assert transport.asked[-1][1] == second


def test_what_was_refused_and_what_was_in_the_way_is_said(home):
    write(home / ".ssh/id_ed25519")
    write(home / ".ssh/id_rsa", 0o644)
    with pytest.raises(RemoteError, match=r"me: 1 keys were refused; .*id_rsa can be read") as e:
        log_in(Transport(), endpoint())
    assert e.value.failure == Failure.LOGIN and "authorized_keys" in (e.value.remedy or "")


def test_where_there_is_no_key_nothing_is_offered(home):
    transport = Transport()
    with pytest.raises(RemoteError, match="there is no key to offer"):
        log_in(transport, endpoint())
    assert transport.asked == []


def test_a_server_that_wants_a_password_too_gets_none(home):
    file = write(home / "mine")
    transport = Transport([paramiko.PKey.from_path(file).get_base64()], ["password"])
    with pytest.raises(RemoteError, match="wants more than a key: password"):
        log_in(transport, endpoint(file))


def test_an_agent_that_does_not_answer_is_named(home, monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "socket"))
    assert offered(None)[0] == []
