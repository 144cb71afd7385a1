# SPDX-License-Identifier: GPL-2.0-only
"""The table of series: what was promised of each, and what it is."""

import pytest

from harness.cli.patches import table
from tests.support.series import RECORDS, subjects


@pytest.mark.parametrize("base", RECORDS)
def test_promise_and_count_stand_side_by_side(base: str) -> None:
    record = RECORDS[base]
    shown = table(record)
    by_series = {row[0]: dict(zip(shown.head, row, strict=True)) for row in shown.rows}
    promises = {s.series: s.promises for s in subjects(base) if s.promises}
    assert base != "6.12" or promises["zero-check"] == (100,)
    for name, cells in by_series.items():
        over = next(f.added for f in record.series if f.series == name)
        want = ""
        if name in promises:
            limit = min(promises[name])
            want = f"{limit}: {over - limit} over" if over > limit else f"{limit}: kept"
        assert cells["promised"] == want
