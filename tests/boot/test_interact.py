# SPDX-License-Identifier: GPL-2.0-only
"""A shell in a real guest, on a real terminal."""

import json
import os
import sys
from pathlib import Path

import pexpect

ROOT = Path(__file__).parents[2]


def test_a_person_looks_around_in_the_guest(place: Path) -> None:
    argv = ["-m", "harness", "boot", "debian", "small", "--interact", "--keep", "kept"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    shell = pexpect.spawn(sys.executable, argv, env=env, timeout=120, maxread=1 << 16)
    try:
        shell.expect_exact("/ # ")
        for line, heard in (
            ("uname -s; echo $((6 * 7))", r"Linux\s+42\s"),
            ("tty; ls -d /proc/self", r"/dev/ttyS0\s+/proc/self\s"),
            ("echo ab\x7fc", r"\sac\s"),
            ("cat /proc/cmdline | grep -c nokaslr", r"\s1\s"),
        ):
            shell.send(line + "\r")
            shell.expect(heard)
            shell.expect_exact("/ # ")
        shell.send("sleep 1000\r")
        shell.expect_exact("sleep 1000")
        shell.send("\x03")  # of the guest's terminal, and of nobody else
        shell.expect_exact("/ # ")
        shell.send("exit\r")
        shell.expect("debian on small: ok")
        shell.expect(pexpect.EOF)
    finally:
        shell.close()
    assert shell.exitstatus == 0
    folder = place / "kept/runs/debian/small/time/000"
    record = json.loads((folder / "run.json").read_text())
    assert record["judgement"]["outcome"] == "ok" and record["ending"]["cause"] == "done"
    assert any(probe["probe"] == "touch_total" for probe in record["probes"])
    assert b"/dev/ttyS0" in (folder / "console.log").read_bytes()
