# SPDX-License-Identifier: GPL-2.0-only
"""What a report says of the functions that boots went through."""

import pytest

from harness.dataset import dataset
from harness.report.context import Context
from harness.report.functions import DEEPEST, _calls, function_section
from harness.results.folder import PROFILE, Results
from tests.support.profiles import DEFERRED, EAGER, profile, written
from tests.support.records import lock, stored

PROFILES = {"eager": written(EAGER), "grow": written(DEFERRED)}


@pytest.fixture
def shown(tmp_path):
    """The section of boots with these profiles, by variant."""

    def of(profiles, clock="work"):
        runs = [stored((name, "m1", clock), 0, 1) for name in ("eager", "grow")]
        context = Context.of(dataset.tabulate(runs, lock()))
        for (variant, _, _), seen in context.chosen.items():
            if variant in profiles:
                folder = tmp_path / seen.evidence
                folder.mkdir(parents=True, exist_ok=True)
                (folder / PROFILE).write_text(profiles[variant])
        return function_section(context, Results(tmp_path))

    return of


def test_functions_explain_what_a_variant_takes_less_than_the_baseline(shown):
    section = shown(PROFILES)
    (said,) = [note for note in section.notes if " against " in note]
    assert said.startswith("grow") and "memmap_init_range -600" in said
    assert "deferred_init_memmap +500" in said and "on m1" in said
    assert [figure.folded for figure in section.figures] == [False, True]
    assert len(section.tables) == 2 and all(table.folded for table in section.tables)


def test_a_profile_alone_is_shown_and_none_is_no_section(shown):
    section = shown({"grow": PROFILES["grow"]})
    assert len(section.figures) == 1 and not any(" against " in note for note in section.notes)
    assert shown({"grow": "no profile"}).empty


def test_what_is_timed_has_no_functions(shown):
    assert shown(PROFILES, "time").empty


def test_a_call_lies_within_the_one_that_called_it():
    calls = _calls("eager", profile(EAGER)).set_index("function")
    spans = {name: (row.start, row.end, row.depth) for name, row in calls.iterrows()}
    assert spans["start_kernel"][1] - spans["start_kernel"][0] == 1035
    for caller, callee in (("start_kernel", "setup_arch"), ("setup_arch", "memmap_init_range")):
        (a, b, above), (c, d, below) = spans[caller], spans[callee]
        assert a <= c <= d <= b and below == above + 1
    assert calls["depth"].max() < DEEPEST
    deep = profile(tuple((n, f"f{n}", 1, 1) for n in range(DEEPEST + 5)))
    assert _calls("eager", deep)["depth"].max() == DEEPEST - 1
