# SPDX-License-Identifier: GPL-2.0-only
"""The committed datasets are what their raw logs say: tools/audit, which shares no code with us."""

import gzip
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

AUDIT = ROOT / "tools/audit"
QUICK = ROOT / "results/reference/quick"


def audit(*words: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, AUDIT, *words], capture_output=True, text=True)


def test_it_shares_no_code_with_the_harness() -> None:
    assert not re.search(r"^\s*(from|import) harness", AUDIT.read_text(), re.M)


def test_the_committed_datasets_and_tables_are_what_the_logs_say() -> None:
    done = audit()
    assert done.returncode == 0, done.stdout + done.stderr
    compared = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) values", done.stdout)]
    assert len(compared) >= 10 and min(compared) > 50


def one_more(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]) + 1}"


@pytest.mark.parametrize(
    ("file", "pattern", "said"),
    [
        ("phases.csv", r"(memmap_init,1,mark,1,\d+,,,,,,)(\d{6,})(?=,)", "memmap_init 1"),
        ("phases.csv", r"(memblock_free_all,,mark,)(\d)", "memblock_free_all"),
        ("probes.csv", r"(meminfo,mem_total,+)(\d{9,})", "meminfo"),
        ("probes.csv", r"(touch,first-touch,0,,1,.*,)(\d{9,})", "touch 0 1 0"),
        ("summary.csv", r"(phase,boot,,mark,instructions,1,0,1,)(\d+)", "median"),
        ("runs.csv", r"(,4,4,)(\d{9,})", "peak"),
    ],
)
def test_a_value_that_is_changed_is_found(
    file: str, pattern: str, said: str, tmp_path: Path
) -> None:
    copy = tmp_path / "quick"
    shutil.copytree(QUICK, copy)
    text = (copy / file).read_text()
    changed = re.sub(pattern, one_more, text, count=1)
    assert changed != text
    (copy / file).write_text(changed)
    done = audit(copy)
    assert done.returncode == 1 and said in done.stdout, done.stdout


def test_a_mark_that_is_changed_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "quick"
    shutil.copytree(QUICK, copy)
    log = next(copy.glob("runs/eager/*/work/000/console.log.gz"))
    text = gzip.decompress(log.read_bytes())
    log.write_bytes(
        gzip.compress(re.sub(rb"(phase=memmap_init .* busy=\d+)(\d)", rb"\g<1>0", text))
    )
    done = audit(copy)
    assert done.returncode == 1 and "memmap_init" in done.stdout
