# SPDX-License-Identifier: GPL-2.0-only
"""The record of a boot: what is written is read back, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.errors import ResultsError, SchemaError
from harness.model.run import GOOD, HOST_FAULT, Ending, Judgement, Outcome, Phase, Run
from harness.results import read_run, to_json
from tests.support.checkout import ROOT
from tests.support.records import ENVIRONMENT, stored

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def runs(draw):
    phases = st.builds(
        Phase,
        name=texts,
        node=st.none() | st.integers(0, 1023),
        source=st.sampled_from(["mark", "printk", "host"]),
        start=finite,
        end=finite,
        pages=st.none() | st.integers(0, 2**62),
    )
    values = texts | st.integers(-(2**62), 2**62) | finite | st.booleans() | st.none()
    return Run(
        run_id=draw(texts),
        variant=draw(texts),
        machine=draw(texts),
        clock=draw(st.sampled_from(["time", "work"])),
        block=draw(st.integers(-9, 9999)),
        started_utc="2026-11-30T00:00:00Z",
        environment=ENVIRONMENT,
        ending=Ending(cause="done", wall_s=draw(st.floats(0, 1e6))),
        judgement=Judgement(outcome=draw(st.sampled_from(Outcome)), reason=draw(texts)),
        phases=draw(st.lists(phases, max_size=3)),
        probes=draw(st.lists(st.dictionaries(texts, values, max_size=3), max_size=3)),
    )


@given(run=runs())
def test_what_is_written_is_read_back(run):
    assert Run.model_validate_json(to_json(run)) == run


def test_a_phase_lasts_from_its_start_to_its_end():
    assert Phase(name="boot", source="mark", start=1.5, end=4.0).duration == 2.5


def test_a_record_never_changes():
    run = stored(("eager", "m1", "time"), 0, 1).run
    with pytest.raises(ValidationError, match="frozen"):
        run.block = 1


def test_how_a_boot_ended_is_good_the_hosts_doing_or_the_kernels():
    assert not GOOD & HOST_FAULT
    assert Outcome.PANIC not in GOOD | HOST_FAULT
    told = (ROOT / "docs/troubleshooting.md").read_text()
    assert [str(o) for o in Outcome if f"`{o}`" not in told] == []


@pytest.mark.parametrize(
    ("old", "new", "kind", "why"),
    [
        ('"schema_version": 1', '"schema_version": 2', SchemaError, "schema version 2"),
        ('"clock": "time"', '"clock": "wall"', ResultsError, "clock"),
        ('"work_shift": 0', '"work_shift": 64', ResultsError, "work_shift"),
        ('"outcome": "ok"', '"outcome": "fine"', ResultsError, "outcome"),
    ],
)
def test_a_record_that_is_none_is_named(old, new, kind, why, tmp_path):
    text = to_json(stored(("eager", "m1", "time"), 0, 1).run)
    assert old in text
    file = tmp_path / "run.json"
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(kind, match=why):
        read_run(file)


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/golden/results-v1/runs/**/run.json")))
def test_the_first_records_are_read_as_they_were_written(path):
    assert read_run(path).schema_version == 1
