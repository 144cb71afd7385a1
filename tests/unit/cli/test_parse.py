# SPDX-License-Identifier: GPL-2.0-only
"""Any log from the command line."""

import gzip
import json
import subprocess
import sys

from harness.cli import main
from tests.support.checkout import ROOT


def test_parse_reads_any_log_and_strips_what_terminals_obey(checkout, tmp_path, capfd):
    log = tmp_path / "x.log"
    log.write_bytes(
        b"[    1.000000] Linux version 6.1 (x)\n[    2.0] \x1b]0;owned\x07hello \x9b31m\n"
    )
    assert main(["parse", str(log), "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["outcome"] == "incomplete"
    main(["parse", str(log)])
    shown = capfd.readouterr().out
    assert "\x1b" not in shown and "\x9b" not in shown and "Linux version 6.1" in shown


def test_parse_says_which_of_several_boots_it_judges(tmp_path, capfd):
    log = tmp_path / "x.log"
    begin = "[    0.000000] Linux version 6.1 (x) #1\n"
    log.write_text(
        f"{begin}[    2.000000] Kernel panic - not syncing: y\n{begin}"
        "[    2.000000] Run /init as init process\n"
    )
    assert main(["parse", str(log)]) == 0
    assert "2 in this log, the last is judged; before it: panic" in capfd.readouterr().out


def test_a_log_that_cannot_be_read_is_no_boot_that_went_wrong(tmp_path, capfd):
    log = tmp_path / "x.log"
    log.write_bytes(gzip.compress(b"[    1.000000] x\n" * 1000)[:-9])
    for name in (log, tmp_path, tmp_path / "none"):
        assert main(["parse", str(name)]) == 2
        assert f"{name}: cannot be read: " in capfd.readouterr().err


def test_parse_follows_a_log_until_it_is_decided(tmp_path):
    """As another's CI does: the console comes through a pipe that stays open."""
    argv = [sys.executable, "-m", "harness", "parse", "--follow", "-", "--json"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as ran:
        ran.stdin.write(b"[    0.000000] Linux version 6.1 (x) #1\n")
        ran.stdin.flush()
        ran.stdin.write(b"[    1.000000] Kernel panic - not syncing: y\n")
        ran.stdin.flush()
        assert json.loads(ran.stdout.read())["outcome"] == "panic"
        assert ran.wait() == 1


def test_a_limit_without_what_it_limits(tmp_path, capfd):
    assert main(["parse", str(tmp_path / "x"), "--timeout", "5"]) == 2
    assert "add --follow" in capfd.readouterr().err
