# SPDX-License-Identifier: GPL-2.0-only
"""A person at the guest's console: on a real terminal, which is as it was when they have left."""

import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.text import UNSAFE, Shared

ROOT = Path(__file__).parents[2]
ARGV = ["-m", "harness", "boot", "one", "small", "--interact", "--keep", "kept"]


def start(**environment: str) -> pexpect.spawn:
    """``harness boot --interact`` on a terminal of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_QEMU": "shell", **environment}
    return pexpect.spawn(sys.executable, ARGV, env=env, timeout=60, maxread=1 << 16)


@contextmanager
def sitting(checkout: Path, **environment: str) -> Iterator[pexpect.spawn]:
    """A boot whose console is there; at the end the terminal has to be as it was."""
    child = start(**environment)
    before = termios.tcgetattr(child.child_fd)
    with (checkout / "screen").open("wb") as child.logfile_read:
        try:
            child.expect("early")
            assert not termios.tcgetattr(child.child_fd)[3] & (termios.ICANON | termios.ECHO)
            yield child
            child.expect(pexpect.EOF)
            assert termios.tcgetattr(child.child_fd) == before
            child.wait()
        finally:
            child.close(force=True)


def record(checkout: Path) -> dict:
    return json.loads((checkout / "kept/runs/one/small/time/000/run.json").read_text())


def console(checkout: Path) -> bytes:
    return (checkout / "kept/runs/one/small/time/000/console.log").read_bytes()


def say(child: pexpect.spawn, text: str, heard: str) -> None:
    child.expect("# ")
    child.send(text + "\r")
    child.expect_exact(f"you said {heard!r}")


def test_what_is_typed_comes_to_the_guest_and_is_evidence(checkout: Path) -> None:
    with sitting(checkout) as child:
        say(child, "hello", b"hello")
        say(child, "\x03\x1a", b"\x03\x1a")  # Ctrl-C and Ctrl-Z are the guest's
        child.send("\x1d")
    assert child.exitstatus == 0
    shown = (checkout / "screen").read_bytes()
    assert b"Ctrl-]" in shown.partition(b"Linux version")[0]
    assert b"\x1b]0;owned" not in shown and b"\x1b]0;owned" in console(checkout)
    assert b"you said b'hello'" in console(checkout)
    found = record(checkout)
    assert found["ending"]["cause"] == "done" and found["judgement"]["outcome"] == "ok"


def test_the_guest_may_end_first(checkout: Path) -> None:
    with sitting(checkout) as child:
        say(child, "exit", b"exit")
    assert child.exitstatus == 0 and record(checkout)["judgement"]["outcome"] == "ok"


def test_nobody_is_hurried_once_the_probes_are_done(checkout: Path) -> None:
    machine = checkout / "qemu-configs/small.yaml"
    machine.write_text(machine.read_text().replace("deadline_s: 5", "deadline_s: 0.1"))
    with sitting(checkout) as child:
        time.sleep(2.5)
        say(child, "late", b"late")
        child.send("\x1d")
    assert child.exitstatus == 0 and record(checkout)["ending"]["wall_s"] > 2


def test_who_leaves_before_the_probes_are_done_interrupts_the_boot(checkout: Path) -> None:
    with sitting(checkout, FAKE_PROBES="never") as child:
        child.send("\x1d")
    assert child.exitstatus == 130
    assert not (checkout / "kept/runs/one/small/time/000").exists()


@pytest.mark.parametrize("probes", ["done", "never"])
def test_a_polite_kill_gives_the_terminal_back(checkout: Path, probes: str) -> None:
    with sitting(checkout, FAKE_PROBES=probes) as child:
        child.expect("# ")
        os.kill(child.pid, signal.SIGTERM)
    assert child.exitstatus == (0 if probes == "done" else 130)


def test_a_terminal_that_is_gone_leaves_a_record_and_no_guest(checkout: Path) -> None:
    child = start()
    child.expect("# ")
    os.close(child.child_fd)
    child.closed = child.ptyproc.closed = True  # the number may soon be that of another file
    os.waitpid(child.pid, 0)
    assert record(checkout)["judgement"]["outcome"] == "ok"
    assert str(checkout) not in subprocess.run(["ps", "ax"], capture_output=True, text=True).stdout


def test_without_a_terminal_it_says_so(checkout: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *ARGV], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 2 and "--interact: no terminal" in done.stderr


EDITS = ["\x1b[K", "\x1b[2J", "\x1b[1;31m", "\x1b[m", "\x1b[3D", "\b", "\r", "\n", "\t", "\a"]
STEALS = [
    "\x1b[6n",
    "\x1b[?2004h",
    "\x1b[c",
    "\x1b]52;c;YQ==\a",
    "\x1bc",
    "\x1bP",
    "\x9b31m",
    "\x07",
]


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = 0
    for cut in sorted({c % (len(data) + 1) for c in cuts}):
        yield data[at:cut]
        at = cut
    yield data[at:]


@given(
    st.lists(st.sampled_from([*EDITS, *STEALS, "a", "é", "\u202e", "\x1b", "\x1b["])),
    st.lists(st.integers(0, 1000), max_size=8),
)
def test_a_shared_terminal_shows_edits_and_nothing_more(parts: list[str], cuts: list[int]) -> None:
    data = "".join(parts).encode()
    screen = Shared()
    shown = b"".join(map(screen, pieces(data, cuts))).decode()
    assert shown == Shared()(data).decode()
    rest = re.sub(r"\x1b\[[0-9;]*[@A-DGHJKPm]", "", shown)
    assert all(c.isprintable() or c in "\a\b\t\r\n" for c in rest)


@pytest.mark.parametrize("edit", EDITS)
def test_a_line_can_be_edited(edit: str) -> None:
    assert Shared()(f"a{edit}b".encode()).decode() == f"a{edit}b"


@pytest.mark.parametrize("theft", STEALS)
def test_a_guest_asks_and_sets_nothing(theft: str) -> None:
    shown = Shared()(f"a{theft}b".encode()).decode()
    assert "\x1b" not in shown and "\x9b" not in shown
    assert shown.startswith("a") and shown.endswith("b")
    assert Shared()(b"\x1b[").decode() == "" and UNSAFE in Shared()(b"\x1bc").decode()
