# SPDX-License-Identifier: GPL-2.0-only
"""The keys that we may log in with: a file, those of the agent, those in ~/.ssh. None is stored."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import SSHException

from harness.errors import Failure, RemoteError
from harness.ssh.endpoint import Endpoint

Pair = tuple[bytes, bytes]
"""A private key in OpenSSH's format, and its public one as a line of authorized_keys."""

DEFAULT = ("id_ed25519", "id_ecdsa", "id_rsa")


def log_in(transport: paramiko.Transport, endpoint: Endpoint) -> None:
    """Offers one key after the other; never a password, and nobody is asked for one."""
    refused, obstacles = 0, list[str]()
    for key in keys(endpoint.key, obstacles.append):
        try:
            more = transport.auth_publickey(endpoint.user, key)
        except paramiko.AuthenticationException:
            refused += 1
            continue
        if not more:
            return
        raise RemoteError(Failure.LOGIN, f"wants more than a key: {', '.join(more)[:100]}")
    user = endpoint.user
    why = [f"{user}: {refused} keys were refused"] if refused else ["there is no key to offer"]
    raise RemoteError(
        Failure.LOGIN,
        "; ".join([*why, *obstacles]),
        remedy=f"put your public key into ~{user}/.ssh/authorized_keys there, or name its"
        " private key with key_file; one with a passphrase goes to ssh-agent",
    )


def keys(file: str | None, on_obstacle: Callable[[str], None]) -> Iterator[paramiko.PKey]:
    """Every key to offer, in turn; says why one that was asked for cannot be."""
    if file and (key := _load(Path(file).expanduser(), on_obstacle)):
        yield key
        return
    yield from _of_agent(on_obstacle)
    if not file:
        for name in DEFAULT:
            path = Path("~/.ssh", name).expanduser()
            if path.is_file() and (key := _load(path, on_obstacle)):
                yield key


def generate_key() -> Pair:
    """A new Ed25519 key."""
    key = Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.OpenSSH
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    encoding = serialization.Encoding.OpenSSH
    public = key.public_key().public_bytes(encoding, serialization.PublicFormat.OpenSSH)
    return private, public + b" pageinit\n"


def _load(path: Path, on_obstacle: Callable[[str], None]) -> paramiko.PKey | None:
    """The key in a file; none where it needs a passphrase, is no key, or is open to others."""
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            on_obstacle(f"{path} can be read by others (chmod 600)")
            return None
        return paramiko.PKey.from_path(str(path))
    except OSError as error:
        on_obstacle(f"{path}: {error.strerror}")
    except TypeError:  # what the cryptography package raises for want of a passphrase
        on_obstacle(f"{path} has a passphrase, which is not asked for")
    except (ValueError, SSHException, UnsupportedAlgorithm, UnknownKeyType):
        on_obstacle(f"{path} is no private key that can be read")
    return None


def _of_agent(on_obstacle: Callable[[str], None]) -> Iterator[paramiko.PKey]:
    try:
        agent = paramiko.Agent()
    except (SSHException, OSError) as error:
        on_obstacle(f"the SSH agent does not answer: {error}")
        return
    try:
        yield from agent.get_keys()
    finally:
        agent.close()
