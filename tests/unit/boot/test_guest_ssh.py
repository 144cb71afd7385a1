# SPDX-License-Identifier: GPL-2.0-only
"""Probes by SSH: when the login is tried, and what is kept; servers are in tests/ssh/test_guest."""

import asyncio
import contextlib
import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.boot import guest_ssh
from harness.boot.guest_ssh import Address, GuestProbes, ProbeSession
from harness.errors import Failure, RemoteError
from harness.model import Probes
from harness.parse import INIT
from harness.qemu import MAX_BYTES
from harness.ssh import Done


@given(stdout=st.binary(max_size=99), status=st.sampled_from([0, 1, 2, 139]), err=st.binary())
def test_what_a_probe_says_is_whole_lines_and_how_it_ended(stdout, status, err):
    lines = guest_ssh._lines("touch", Done(status, stdout, err))
    assert lines.startswith(stdout)
    assert not lines or lines.endswith(b"\n")
    more = lines[len(stdout) :].strip()
    if status > 1:
        told = json.loads(more.splitlines()[-1])
        assert (told["probe"], told["error"]) == ("touch", f"status {status}")
        assert len(told["reason"]) <= 200
    else:
        assert not more


@pytest.fixture
def probes(tmp_path):
    """Those of a boot, with nothing of a guest but the file that is put into it."""
    entry = tmp_path / "entry.cpio"
    entry.write_bytes(b"entry")

    class Request:
        initrd = entry
        guest = None

    news = []
    return GuestProbes(Request(), tmp_path, lambda: news.append(1)), tmp_path


def test_each_boot_has_keys_of_its_own(probes):
    first, folder = probes
    second = GuestProbes(first._request, folder, print)
    assert first.files.keys() == second.files.keys() == {guest_ssh.ENTRY, guest_ssh.KEY}
    assert first.files[guest_ssh.KEY] != second.files[guest_ssh.KEY]
    assert first.files[guest_ssh.ENTRY].startswith(b"entry")
    # The public half goes into the guest, the private one nowhere but into our own folder.
    assert b"ssh-ed25519 " in first.files[guest_ssh.ENTRY]
    assert first.files[guest_ssh.KEY] not in first.files[guest_ssh.ENTRY]


@given(cut=st.integers(0, len(INIT)))
def test_user_space_is_seen_however_its_line_is_cut(cut):
    class Here(GuestProbes):
        def __init__(self):
            self._tail, self._user_space = b"", asyncio.Event()

    seen, line = Here(), f"[ 1.0] {INIT} as init\n".encode()
    at = line.index(INIT.encode()) + cut
    seen.console(b"x" * 999 + line[:at])
    assert seen._user_space.is_set() == (cut == len(INIT))
    seen.console(line[at:])
    assert seen._user_space.is_set()


def test_what_it_waits_for_is_said(probes):
    found, _ = probes
    assert found.waits == "user space has not begun"
    found._session = ProbeSession.__new__(ProbeSession)
    found._session.login, found._session.last_error = None, "closed: x"
    assert found.waits == "no login yet: closed: x"
    found.failed = "login: refused"
    assert found.waits == "login: refused"


def test_results_are_cut_at_their_limit(probes):
    found, folder = probes
    for _ in range(3):
        found._write(b"x" * (MAX_BYTES // 2))
    assert (folder / guest_ssh.PROBES).stat().st_size == MAX_BYTES


class Session(ProbeSession):
    """One whose logins fail as they are told to; a number is a login that succeeds."""

    def __init__(self, *fates, login_s=60.0):
        address = Address(1, "u", None, None, time.monotonic(), login_s, 1.0)
        self.signs = []
        super().__init__(address, None, Probes(run=()), print, lambda: self.signs.append(1))
        self.fates = list(fates)

    def _await_banner(self, patience):
        self.patience = patience
        if isinstance(fate := self.fates.pop(0), Failure):
            raise RemoteError(fate, "no")

    def _connect(self):
        return Link()


class Link:
    """A login."""

    host_key, server = "ssh-ed25519 SHA256:x", "SSH-2.0-x"

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(guest_ssh, "PAUSE_S", 0.001)
    monkeypatch.setattr(guest_ssh, "LOGIN_PAUSE_S", 0.001)


def first_login(session):
    with contextlib.ExitStack() as stack:
        return session._first_login(stack)


def test_a_server_that_is_about_to_start_is_waited_for():
    waits = (Failure.UNREACHABLE, Failure.SILENT, Failure.CLOSED, Failure.LOGIN)
    session = Session(*waits, "in")
    first_login(session)
    assert session.login and session.login.host_key == Link.host_key
    assert session.last_error == "login: no" and not session.fates
    # Who closes or refuses is alive; who is silent is not.
    assert len(session.signs) == 3


def test_patience_grows_with_each_silence_alone():
    session = Session(Failure.UNREACHABLE, Failure.SILENT, Failure.SILENT, Failure.CLOSED, "in")
    first_login(session)
    assert session.patience == 4 * guest_ssh.PATIENCE_S


@pytest.mark.parametrize("fate", [Failure.CHANGED_KEY, Failure.BAD_ANSWER, Failure.TOO_LARGE])
def test_what_is_no_matter_of_time_ends_it(fate):
    with pytest.raises(RemoteError, match="no"):
        first_login(Session(fate, "in"))


def test_no_login_in_time_or_after_the_boot_is_an_end():
    with pytest.raises(RemoteError):
        first_login(Session(Failure.CLOSED, "in", login_s=-1))
    session = Session(*[Failure.CLOSED] * 10_000)
    threading.Timer(0.05, session.stop).start()
    with pytest.raises(RemoteError):
        first_login(session)
    assert session.fates
