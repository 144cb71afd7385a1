# SPDX-License-Identifier: GPL-2.0-only
"""The committed series, and the record of how they were looked at."""

from harness.kernel import check
from harness.kernel.check import Record
from harness.project import Project
from tests.support.checkout import ROOT

PATCHES = ROOT / "kernel-patches"
PROJECT = Project(ROOT, ROOT)
RECORD = Record.model_validate_json((PATCHES / check.RECORD).read_bytes())


def subjects(*names: str) -> list[check.SeriesInPlace]:
    every = [PROJECT.variant(n) for role in ("proposal", "broken") for n in PROJECT.variants(role)]
    return check.subjects(every, names)
