# SPDX-License-Identifier: GPL-2.0-only
"""tools/kvm-guest: what a command in the guest says comes back, and no guest is left behind."""

import signal
import subprocess
import sys

import pytest

from tests.support.checkout import ROOT, heed_ctrl_c
from tests.support.real import qemus, running, until

TOOL = (sys.executable, str(ROOT / "tools/kvm-guest"))


def test_words_files_and_exit_status_come_back(tmp_path):
    (tmp_path / "here").write_text("of the host\n")
    inside = 'cat here; echo one >there; test -w /dev/kvm && echo "$1"; touch /etc/ours; exit 7'
    argv = [*TOOL, "--share", tmp_path, "--", "sh", "-c", inside, "sh", "two  words"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (7, "of the host\ntwo  words\n"), done.stderr
    assert (tmp_path / "there").read_text() == "one\n"


def test_what_takes_too_long_is_ended():
    argv = [*TOOL, "--limit", "3", "--", "sleep", "1000"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (124, "kvm-guest: ended after 3 s\n")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_no_guest_outlives_the_tool(number, status):
    argv = [*TOOL, "--", "sleep", "1000"]
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL, preexec_fn=heed_ctrl_c)
    try:
        (guest,) = until(lambda: qemus(process.pid))
        process.send_signal(number)
        assert process.wait(20) == status
        until(lambda: not running(guest), 5)
    finally:
        process.kill()
