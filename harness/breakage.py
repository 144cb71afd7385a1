# SPDX-License-Identifier: GPL-2.0-only
"""What goes wrong on a connection to a host: one kind of error, with the host's name."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import paramiko
from paramiko.ssh_exception import SSHException

from harness.errors import Failure, HarnessError, RemoteError


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Turns the many errors of sockets and of paramiko into one kind, with the host's name.

    paramiko hands on whatever its parsers raise at bytes that are no SSH, of any type.
    """
    try:
        yield
    except HarnessError as error:
        if isinstance(error, RemoteError):
            error.where = error.where or name
        raise
    except (OSError, SSHException, EOFError) as error:
        failure, what = _meaning(error)
        raise RemoteError(failure, what, where=name) from None
    except Exception as error:
        what = f"what it speaks is no SSH: {str(error)[:200]}"
        raise RemoteError(Failure.BAD_ANSWER, what, where=name) from None


def quiet() -> contextlib.suppress:
    """For the end of a connection that may have broken already."""
    return contextlib.suppress(OSError, EOFError, SSHException)


def _meaning(error: Exception) -> tuple[Failure, str]:
    match error:
        case socket.gaierror():
            return Failure.NO_SUCH_NAME, f"no such address: {error.strerror}"
        case TimeoutError():
            return Failure.SILENT, "no answer"
        case ConnectionResetError():
            return Failure.CLOSED, "closed the connection"
        case paramiko.ChannelException():
            return Failure.UNREACHABLE, f"the host before it refuses: {error.text}"
        case OSError():
            return Failure.UNREACHABLE, str(error.strerror or error)
        case _:
            return Failure.CLOSED, f"broke off: {error or 'end of the connection'}"
