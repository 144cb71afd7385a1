# SPDX-License-Identifier: GPL-2.0-only
"""Any log from the command line."""

import json

from harness.cli import main


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
