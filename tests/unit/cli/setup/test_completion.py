# SPDX-License-Identifier: GPL-2.0-only
"""``harness completion``: a script with every command, that its shell can read."""

import shutil
import subprocess
import sys

import pytest

from harness.cli import COMMANDS, main
from harness.cli.setup.completion import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_is_in_the_script(shell, capfd):
    assert main(["completion", shell]) == 0
    script = capfd.readouterr().out
    assert [command for command in COMMANDS if command not in script] == []
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_bash_completes_a_command_and_an_option(capfd, tmp_path):
    assert main(["completion", "bash"]) == 0
    file = tmp_path / "completion"
    file.write_text(capfd.readouterr().out)
    ask = """
    source "$1"; COMP_WORDS=($2); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    $(complete -p harness | sed 's/.*-F \\([^ ]*\\).*/\\1/'); echo "${COMPREPLY[@]}"
    """

    def complete(words):
        argv = ["bash", "-c", ask, "bash", str(file), words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()

    assert complete("harness comp") == ["compare", "completion"]
    assert "--accept-new" in complete("harness hosts check --acc")


def test_without_shtab_it_says_what_to_install(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pageinit[completion]" in capfd.readouterr().err
