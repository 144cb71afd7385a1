# SPDX-License-Identifier: GPL-2.0-only
"""One connection: commands whose words stay words, and files of limited size."""

import hashlib
import os
import signal
import stat
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import Failure, RemoteError, ResultsError
from harness.hosts.inventory import Inventory
from harness.ssh.connection import Connection, SSHTimeouts, talk
from harness.ssh.hostkeys import Trust
from tests.support.real import until

pytestmark = pytest.mark.ssh


@pytest.fixture
def host(lab):
    """A connection to a host called `one`."""
    lab.serve("one")
    inventory = Inventory.load(lab.file)
    with Connection(inventory, "one", Trust([lab.known]), SSHTimeouts(command_s=10)) as connection:
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


def test_files_there_and_back(host, tmp_path, lab):
    data = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(data)
    remote = lab.servers["one"].home / "a name; with $(words)"
    digest = host.put(tmp_path / "a", str(remote), limit_s=20)
    assert digest == hashlib.sha256(data).hexdigest()
    assert remote.read_bytes() == data and stat.S_IMODE(remote.stat().st_mode) == 0o600
    assert host.get(str(remote), tmp_path / "b", max_bytes=3 << 20, limit_s=20) == digest
    assert (tmp_path / "b").read_bytes() == data
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    with pytest.raises(ResultsError, match="is there already"):
        host.get(str(remote), tmp_path / "b", max_bytes=3 << 20, limit_s=20)


@pytest.mark.parametrize("remote", ["/dev/zero", "large"])
def test_a_file_larger_than_allowed_is_refused(host, tmp_path, lab, remote):
    (lab.servers["one"].home / "large").write_bytes(bytes(2 << 20))
    path = remote if remote.startswith("/") else str(lab.servers["one"].home / remote)
    with pytest.raises(RemoteError) as error:
        host.get(path, tmp_path / "b", max_bytes=1 << 20, limit_s=20)
    assert error.value.failure == Failure.TOO_LARGE
    assert not list(tmp_path.glob("b*"))


def test_a_file_that_is_not_there(host, tmp_path):
    with pytest.raises(RemoteError, match="No such file") as error:
        host.get("/nowhere/x", tmp_path / "b", max_bytes=1, limit_s=20)
    assert error.value.failure == Failure.COMMAND


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
