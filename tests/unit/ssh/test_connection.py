# SPDX-License-Identifier: GPL-2.0-only
"""What goes wrong with a connection has one kind of error; real servers are in tests/ssh."""

import socket
import threading
import time

import paramiko
import pytest
from paramiko.ssh_exception import SSHException

from harness.errors import Failure, HarnessError, RemoteError
from harness.ssh.connection import Connection, Done, fit, named, quiet
from harness.ssh.endpoint import Endpoint, SSHTimeouts
from harness.ssh.hostkeys import KnownHosts


@pytest.mark.parametrize(
    ("error", "failure", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), Failure.NO_SUCH_NAME, "no such address"),
        (TimeoutError(), Failure.SILENT, "no answer"),
        (ConnectionResetError(), Failure.CLOSED, "closed the connection"),
        (ConnectionRefusedError(111, "Connection refused"), Failure.UNREACHABLE, "refused"),
        (OSError(113, "No route to host"), Failure.UNREACHABLE, "No route to host"),
        (paramiko.ChannelException(1, "prohibited"), Failure.UNREACHABLE, "refuses: prohibited"),
        (SSHException("key exchange"), Failure.CLOSED, "broke off: key exchange"),
        (EOFError(), Failure.CLOSED, "end of the connection"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), Failure.BAD_ANSWER, "is no SSH"),
        (IndexError("x" * 999), Failure.BAD_ANSWER, "is no SSH"),
    ],
)
def test_every_error_of_sockets_and_of_paramiko_is_one_kind(error, failure, said):
    with pytest.raises(RemoteError, match=said) as raised, named("lab-7"):
        raise error
    assert (raised.value.failure, raised.value.where) == (failure, "lab-7")
    assert len(raised.value.what) < 300


def test_an_error_of_ours_keeps_its_words_and_gets_the_name():
    with pytest.raises(RemoteError) as raised, named("lab-7"):
        raise RemoteError(Failure.TOO_LARGE, "x")
    assert str(raised.value) == "lab-7: x"
    with pytest.raises(RemoteError) as raised, named("outer"), named("inner"):
        raise RemoteError(Failure.TOO_LARGE, "x")
    assert raised.value.where == "inner"
    with pytest.raises(HarnessError, match=r"^x$"), named("lab-7"):
        raise HarnessError("x")


def test_the_end_of_a_connection_may_have_broken_already():
    for error in (OSError(), EOFError(), SSHException()):
        with quiet():
            raise error
    with pytest.raises(ValueError), quiet():
        raise ValueError


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        (b"", ""),
        (b"one\ntwo\n", "two"),
        (b"\x1b[31mred\n\n", "\N{REPLACEMENT CHARACTER}[31mred"),
        (b"\xff\n", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_complaint_is_the_last_line_and_drives_no_terminal(stderr, said):
    assert Done(1, b"", stderr).complaint == said


def test_an_answer_has_a_limit():
    fit(10, 10, "x")
    with pytest.raises(RemoteError, match=r"x has more than 10B") as error:
        fit(11, 10, "x")
    assert error.value.failure == Failure.TOO_LARGE


LIMITS = SSHTimeouts(connect_s=0.5, banner_s=0.5, login_s=0.5, command_s=0.5)


@pytest.fixture
def answer():
    """Starts what is no SSH server: `serve` gets the connection; answers an endpoint."""
    links = []

    def start(serve):
        server = socket.create_server(("127.0.0.1", 0))
        links.append(server)

        def accept():
            link, _ = server.accept()
            links.append(link)
            serve(link)

        threading.Thread(target=accept, daemon=True).start()
        return Endpoint("h", "127.0.0.1", server.getsockname()[1], "u")

    yield start
    for link in links:
        link.close()


@pytest.mark.parametrize(
    ("serve", "failures", "words"),
    [
        (lambda link: None, {Failure.SILENT}, "no answer from an SSH server within 0.5 s"),
        (lambda link: link.sendall(b"SSH-2.0-x\r\n"), {Failure.SILENT}, "within 0.5 s"),
        (lambda link: link.close(), {Failure.CLOSED}, ""),
        (
            lambda link: (link.sendall(b"HTTP/1.1 400\r\n\r\n"), link.close()),
            {Failure.CLOSED, Failure.BAD_ANSWER},
            "",
        ),
    ],
)
def test_what_is_no_ssh_server_ends_within_its_time(answer, tmp_path, serve, failures, words):
    endpoint = answer(serve)
    start = time.monotonic()
    with (
        pytest.raises(RemoteError, match=words) as error,
        Connection(endpoint, KnownHosts([tmp_path / "none"]), LIMITS),
    ):
        pass
    assert error.value.failure in failures and error.value.where == "h"
    assert time.monotonic() - start < 5


def test_a_port_that_nobody_listens_on_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    endpoint = Endpoint("h", "127.0.0.1", port, "u")
    with (
        pytest.raises(RemoteError, match="h: Connection refused") as error,
        Connection(endpoint, KnownHosts([tmp_path / "none"]), LIMITS),
    ):
        pass
    assert error.value.failure == Failure.UNREACHABLE
