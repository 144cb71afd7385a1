# SPDX-License-Identifier: GPL-2.0-only
"""``harness export``: a file, or standard output."""

from harness.cli import main
from tests.support.checkout import ROOT

QUICK = ROOT / "results/reference/quick"


def test_the_command_writes_a_file_or_standard_output(tmp_path, capfdbinary):
    file = tmp_path / "bmf.json"
    assert main(["export", str(QUICK), "--format", "bmf", "-o", str(file)]) == 0
    assert main(["export", str(QUICK), "--format", "bmf"]) == 0
    assert capfdbinary.readouterr().out == file.read_bytes()
    assert main(["export", str(tmp_path), "--format", "bmf"]) == 2
