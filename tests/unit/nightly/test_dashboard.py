# SPDX-License-Identifier: GPL-2.0-only
"""The pages about nights."""

from datetime import date
from pathlib import Path

import pytest

from harness.nightly import dashboard, testcases
from harness.nightly.history import History
from harness.report.testcases import ktap
from harness.results.folder import Damage
from tests.support.nights import REAL, Year, bad_night, board, make


def test_the_dashboard_escapes_and_has_a_section_for_each_phase():
    shown = board(bad_night(), [Damage(Path("<b>"), "torn & gone")])
    page, text = dashboard.render(shown)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;: torn &amp; gone" in page
    assert "\x1b" not in page + text
    for name in ("memmap_init", "boots"):
        assert f"<h2>{name}</h2>" in page
    assert page.count("<svg") == 1
    assert "REGRESSED" in text
    assert "| REGRESSION | +100.00% | memmap_init |" in text
    assert "1 regressed, 0 improved, 0 unchanged, 1 failed boots" in text


def test_a_night_whose_date_is_not_later_is_noted():
    nights = make(Year(nights=3, counts={"boot": 10**6}))
    nights[2] = nights[2].model_copy(update={"day": date(1970, 1, 1)})
    assert "clock of the host went back" in dashboard.render(board(nights))[1]


@pytest.mark.parametrize("last", range(1, 7))
def test_the_reports_of_the_real_nights_come_from_their_history(last):
    nights = History(REAL / "history").read()[0][:last]
    shown, folder = board(nights), REAL / "reports" / nights[-1].day.isoformat()
    assert dashboard.render(shown)[1] == (folder / "summary.md").read_text()
    made = ktap(testcases.cases(shown.night, shown.changes))
    assert made == (folder / "results.ktap").read_text()
