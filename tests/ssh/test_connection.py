# SPDX-License-Identifier: GPL-2.0-only
"""One connection: commands whose words stay words, and files of limited size."""

import os
import signal
import socket
import stat
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import Failure, RemoteError
from harness.hosts.inventory import Inventory
from harness.ssh import Connection, KnownHosts, SSHTimeouts
from harness.ssh.connection import talk
from tests.support.real import until

pytestmark = pytest.mark.ssh


@pytest.fixture
def host(lab):
    """A connection to a host called `one`."""
    lab.serve("one")
    endpoint, known = Inventory.load(lab.file).endpoint("one"), KnownHosts([lab.known])
    with Connection(endpoint, known, SSHTimeouts(command_s=10)) as connection:
        yield connection


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.lists(WORDS, max_size=5))
def test_the_shell_there_sees_words_as_they_are(host, words):
    words = [word.encode().decode("utf-8") for word in words]
    program = "import os, sys; os.write(1, b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
    done = host.run(["python3", "-I", "-S", "-c", program, *words])
    assert (done.status, done.stdout) == (0, "\0".join(words).encode())


@pytest.mark.parametrize("word", ["$(touch x)", "`touch x`", "; touch x", "'", '"', "\n", "*", "~"])
def test_no_word_is_a_command(host, lab, word):
    assert host.run(["printf", "%s", word]).stdout == word.encode()
    assert list(lab.servers["one"].home.iterdir()) == []


def test_large_input_and_output_at_the_same_time(host):
    data = os.urandom(5 << 20)
    done = host.run(["cat"], stdin=data, max_bytes=6 << 20)
    assert (done.status, done.stdout) == (0, data)


def test_status_and_both_streams(host):
    done = host.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.status, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_a_command_that_ends_without_reading_its_input_has_answered(host):
    """On a loaded machine it is over before the input is sent."""
    with host._session() as channel:
        channel.exec_command("printf done; exit 3")
        until(lambda: channel.closed)
        done = talk(channel, b"program" * 100, 1000, "printf")
    assert (done.status, done.stdout) == (3, b"done")


def test_a_command_that_takes_too_long_is_cut_off(host):
    start = time.monotonic()
    with pytest.raises(RemoteError, match=r"sleep: no end within 0\.5 s") as error:
        host.run(["sleep", "30"], limit_s=0.5)
    assert error.value.failure == Failure.SILENT and time.monotonic() - start < 3


def test_a_file_that_goes_there(host, tmp_path, lab):
    data = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(data)
    remote = lab.servers["one"].home / "a name; with $(words)"
    host.put(tmp_path / "a", str(remote), limit_s=20)
    assert remote.read_bytes() == data and stat.S_IMODE(remote.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_put_there(host, tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(RemoteError, match="No such file") as error:
        host.put(tmp_path / "a", "/nowhere/x", limit_s=20)
    assert error.value.failure == Failure.COMMAND


def echo(server):
    link, _ = server.accept()
    with link:
        while data := link.recv(1 << 16):
            link.sendall(data)


def exchange(port):
    """Sends 3 MiB to a port of the loopback interface, and wants to have them back."""
    data, back = os.urandom(3 << 20), bytearray()
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        sender = threading.Thread(target=link.sendall, args=[data])
        sender.start()
        while len(back) < len(data) and (more := link.recv(1 << 16)):
            back += more
        sender.join()
    assert bytes(back) == data


@pytest.mark.parametrize("way", ["there", "here"])
def test_a_port_is_the_one_at_the_other_end(host, way):
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        socket.create_server(("127.0.0.1", 0)) as entry,
    ):
        threading.Thread(target=echo, args=[target], daemon=True).start()
        port = target.getsockname()[1]
        if way == "there":
            exchange(host.publish(port))
        else:
            host.forward(entry, port)
            exchange(entry.getsockname()[1])


@pytest.mark.parametrize("way", ["there", "here"])
def test_a_port_that_nobody_listens_on_ends_the_connection(host, way):
    with socket.create_server(("127.0.0.1", 0)) as entry:
        if way == "there":
            port = host.publish(1)
        else:
            host.forward(entry, 1)
            port = entry.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 10) as link:
            assert link.recv(1) == b""


def test_a_server_that_dies_in_the_middle_of_a_copy(host, tmp_path, lab):
    """What serves our connection is stopped first, so that the copy stands still, then killed."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200 << 20)
    (pid,) = host.run(["sh", "-c", "echo $PPID"]).stdout.split()
    threading.Timer(0.3, os.kill, [int(pid), signal.SIGKILL]).start()
    remote = lab.servers["one"].home / "large"
    with pytest.raises(RemoteError) as error:
        host.put(tmp_path / "large", str(remote), limit_s=60)
    assert error.value.failure == Failure.CLOSED
    assert not remote.exists()


def test_a_server_that_falls_silent_in_the_middle_of_a_copy(host, tmp_path, lab):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(200 << 20)
    (pid,) = map(int, host.run(["sh", "-c", "echo $PPID"]).stdout.split())
    threading.Timer(0.2, os.kill, [pid, signal.SIGSTOP]).start()
    start = time.monotonic()
    try:
        with pytest.raises(RemoteError) as error:
            host.put(tmp_path / "large", str(lab.servers["one"].home / "large"), limit_s=1.5)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert error.value.failure == Failure.SILENT and time.monotonic() - start < 4
