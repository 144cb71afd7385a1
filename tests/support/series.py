# SPDX-License-Identifier: GPL-2.0-only
"""The committed series, and the record of how they were looked at."""

from harness.kernel import check
from harness.kernel.check import Record
from harness.project import Project
from tests.support.checkout import ROOT

PATCHES = ROOT / "kernel-patches"
PROJECT = Project(ROOT, ROOT)
RECORDS = {
    path.stem: Record.model_validate_json(path.read_bytes())
    for path in sorted((PATCHES / check.RECORDS).glob("*.json"))
}


def subjects(base: str, *names: str) -> list[check.SeriesInPlace]:
    return check.subjects_on(PROJECT, PROJECT.base(base), names)
