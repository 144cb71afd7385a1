# SPDX-License-Identifier: GPL-2.0-only
"""A year of nights with known steps, and a history that survives crashes and readers."""

import json
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from harness.cli import main
from harness.compare.verdict import Interest
from harness.files import locked
from harness.nightly import dashboard, history, prune, testcases
from harness.nightly.changes import Tolerance, changes, moved, status
from harness.nightly.history import FailedBoot, History
from harness.nightly.nightly import FILES
from harness.nightly.steps import steps
from harness.results.folder import Damage
from tests.support.checkout import ROOT
from tests.support.nights import SHAPES, Year, bad_night, board, make
from tests.support.real import until
from tests.support.store import foreign

INTEREST = Interest(0.02, 0.005)


@pytest.mark.parametrize(("shape", "false"), [*zip(SHAPES, (0, 4, 4), strict=True)])
def test_steps_of_a_year_are_found_within_two_nights(shape, false):
    """Four steps of 20 %, up and down."""
    known = {60: 1.2, 130: 1.2, 200: 1 / 1.2, 290: 1.2}
    year = Year(seconds={"boot": 2.0}, steps={"boot": known}, shape=shape, seed=7)
    found = [c for c in changes(make(year), Tolerance()) if c.kind == "step"]
    for night, factor in known.items():
        near = [c for c in found if night + 1 <= c.found <= night + 2]
        assert near, f"{night}: {[(c.night, c.found) for c in found]}"
        assert near[0].regression == (factor > 1)
        assert near[0].ratio == pytest.approx(factor, rel=0.1)
    assert len(found) <= len(known) + false


def test_a_year_without_a_step_raises_no_alarm():
    year = Year(seconds={"boot": 2.0}, seed=3)
    assert not changes(make(year), Tolerance())


def test_one_odd_night_is_no_step_and_two_are():
    values = [2 + 0.01 * (n % 3) for n in range(30)]
    values[21] = 4.0  # the night before it lies to the same side of the median
    assert steps(values, INTEREST) == []
    values[22:] = [4.0 + 0.01 * (n % 3) for n in range(8)]
    (step,) = steps(values, INTEREST)
    assert (step.start, step.found) == (21, 22)


def test_two_odd_nights_to_either_side_are_no_step():
    values = [2 + 0.01 * (n % 3) for n in range(30)]
    values[20], values[21] = 4.0, 1.0
    assert steps(values, INTEREST) == []


def test_nothing_is_called_before_the_spread_is_known():
    values = [2.0, 2.01, 1.99, 4.0, 4.0, 4.0]
    assert steps(values, INTEREST) == []


def test_a_slow_creep_becomes_a_step():
    draw = np.random.default_rng(2)
    values = 2 * np.exp(np.linspace(0, 0.2, 300) + draw.normal(0, 0.01, 300))
    assert steps(list(values), INTEREST)


def test_another_qemu_begins_a_level_and_nobody_is_blamed():
    year = Year(nights=60, seconds={"boot": 2.0}, steps={"boot": {30: 1.5}}, noise=0.01, seed=4)
    blamed = replace(year, inputs={30: {"base": "6.12.2-1"}})
    assert [c.inputs for c in changes(make(blamed), Tolerance())] == [
        ("base: 6.12.1-1 -> 6.12.2-1",)
    ]
    moved_qemu = replace(year, inputs={30: {"qemu_version": "8.0"}})
    assert changes(make(moved_qemu), Tolerance()) == []


def test_every_change_of_a_count_is_named_with_the_inputs_that_changed():
    year = Year(
        nights=8,
        variants=("eager", "lazy"),
        counts={"memmap_init": 5_000_000},
        steps={"memmap_init": {3: 1.000002, 5: 1.5}},
        inputs={
            3: {"variant eager tree": "c" * 40},
            5: {"base": "6.12.2-1", "machine small": "m2"},
        },
    )
    found = changes(make(year), Tolerance())
    assert [(c.variant, c.night, c.before, c.after, c.regression) for c in found] == [
        ("eager", 4, 5_000_000, 5_000_010, False),
        ("lazy", 4, 5_000_000, 5_000_010, False),
        ("eager", 6, 5_000_010, 7_500_015, True),
        ("lazy", 6, 5_000_010, 7_500_015, True),
    ]
    assert found[0].inputs == (f"variant eager tree: {'a' * 12} -> {'c' * 12}",)
    assert found[1].inputs == ()
    assert found[2].inputs == ("base: 6.12.1-1 -> 6.12.2-1", "machine small: m1 -> m2")
    assert [status(found, n) for n in range(1, 9)] == [0, 0, 0, 0, 0, 1, 0, 0]


def test_small_growth_of_a_count_adds_up_to_a_regression():
    factors = dict.fromkeys(range(1, 10), 1.004)
    year = Year(nights=10, counts={"boot": 100_000_000}, steps={"boot": factors})
    found = changes(make(year), Tolerance())
    assert len(found) == 9
    assert [c.night for c in found if c.regression] == [4, 7, 10]


def test_a_night_that_was_better_by_accident_makes_no_regression_of_the_next():
    steps = {"boot": {3: 0.9, 4: 1 / 0.9}, "initcalls": {3: 0.9, 6: 1 / 0.9}}
    year = Year(nights=8, counts={"boot": 10**8, "initcalls": 10**8}, steps=steps)
    found = changes(make(year), Tolerance())
    assert [(c.subject.name, c.night, c.regression) for c in found] == [
        ("boot", 4, False),
        ("initcalls", 4, False),
        ("boot", 5, False),
        ("initcalls", 7, True),
    ]


def test_a_boot_that_fails_is_red_every_night_and_one_that_the_host_shot_is_the_hosts():
    about = {"variant": "eager", "machine": "small", "clock": "work", "block": 0}
    panic, shot = (FailedBoot(outcome=name, **about) for name in ("panic", "killed"))
    year = Year(nights=4, counts={"boot": 10**6}, failures={1: panic, 2: panic, 3: shot})
    found = changes(make(year), Tolerance())
    assert [status(found, n) for n in (1, 2, 3, 4)] == [0, 1, 1, 2]


def test_a_figure_that_is_gone_is_a_regression():
    nights = make(Year(nights=2, counts={"boot": 10**6, "memmap_init": 10**6}))
    nights[1] = nights[1].model_copy(update={"figures": nights[1].figures[:1]})
    (found,) = changes(nights, Tolerance())
    assert (found.kind, found.subject.name, found.regression) == ("missing", "memmap_init", True)


def test_a_phase_that_a_kernel_may_do_without_is_a_change_when_it_is_gone():
    nights = make(Year(nights=2, counts={"boot": 10**6, "deferred_init": 10**6}))
    nights[1] = nights[1].model_copy(update={"figures": nights[1].figures[:1]})
    (found,) = changes(nights, Tolerance())
    assert (found.kind, found.subject.name, found.regression) == ("missing", "deferred_init", False)


def test_inputs_of_all_that_moved():
    old, new = make(Year(nights=2, inputs={1: {"host": "other", "base": "2"}}))
    assert moved(old, new) == ("base: 6.12.1-1 -> 2", "host: h -> other")


# The history on disk.


def stored(folder: Path, count: int) -> History:
    made = History(folder / "history")
    for night in make(Year(nights=count, counts={"boot": 10**6}, seconds={"boot": 2.0})):
        made.append(night)
    return made


def test_nights_come_back_as_they_were(tmp_path):
    made = stored(tmp_path, 3)
    assert made.read() == (make(Year(nights=3, counts={"boot": 10**6}, seconds={"boot": 2.0})), [])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda data: data[: len(data) // 2], "not a night"),
        (lambda data: b"", "not a night"),
        (lambda data: b"\0" * len(data), "not a night"),
        (lambda data: b"[1]", "not a night"),
        (lambda data: data.replace(b"1000000", b"2000000"), "altered"),
    ],
    ids=["torn", "empty", "zeros", "foreign", "altered"],
)
def test_a_damaged_night_is_named_and_the_others_are_read(tmp_path, harm, words):
    made = stored(tmp_path, 3)
    path = made.path / "000002-2026-01-02.json"
    path.write_bytes(harm(path.read_bytes()))
    nights, (damage,) = made.read()
    assert [night.number for night in nights] == [1, 3]
    assert damage.path == path
    assert words in damage.reason
    assert made.append(nights[0]).number == 4, "a number is never used again"
    assert path.exists()


def test_a_night_of_a_later_version_is_named(tmp_path):
    made = stored(tmp_path, 1)
    night = make(Year(nights=1))[0].model_copy(update={"version": 9, "number": 2})
    (made.path / "000002-2026-01-02.json").write_bytes(history.to_bytes(night))
    assert "version 9" in made.read()[1][0].reason


def append_for_ever(made, night, told):
    told.recv()
    while True:
        made.append(night)


def test_kill_9_in_the_middle_of_appends_leaves_whole_nights_only(tmp_path):
    """Two writers at once, shot again and again, while a reader reads."""
    made, seen, torn = History(tmp_path), 0, []
    night = make(Year(nights=1, counts={f"phase {n}": n for n in range(300)}))[0]
    context = multiprocessing.get_context("fork")
    tell, told = zip(*(context.Pipe() for _ in range(6)), strict=True)
    writers = [context.Process(target=append_for_ever, args=(made, night, at)) for at in told]
    for writer in writers:
        writer.start()
    writing, end = threading.Event(), threading.Event()

    def read() -> None:
        while writing.wait() and not end.is_set():
            nights, damage = made.read()
            numbers = [night.number for night in nights]
            if damage or numbers != list(range(1, len(numbers) + 1)):
                torn.append((numbers, damage))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for shot in range(3):
            two = slice(2 * shot, 2 * shot + 2)
            for go in tell[two]:
                go.send("go")
            writing.set()
            until(lambda before=seen: len(list(tmp_path.glob("0*.json"))) > before + 1)
            time.sleep(0.01 * shot)
            for writer in writers[two]:
                writer.kill()
                writer.join()
            writing.clear()
            nights, damage = made.read()
            assert not damage
            assert len(nights) >= seen
            seen = len(nights)
    finally:
        end.set()
        writing.set()
        reader.join()
        for writer in writers:
            writer.kill()
    assert seen >= 6
    assert not torn
    number = made.append(make(Year(nights=1))[0]).number
    assert number == seen + 1
    assert not list(tmp_path.glob(".*.tmp"))


# What is written.


def test_junit_has_a_case_for_each_figure_and_a_failure_for_each_regression():
    shown = board(bad_night())
    found = testcases.cases(shown.night, shown.changes)
    top = ElementTree.fromstring(testcases.junit(shown.night, found))
    assert (top.get("tests"), top.get("failures"), top.get("errors")) == ("2", "2", "0")
    failures = {e.get("name"): e.find("failure") for e in top.iter("testcase")}
    assert "10,000,000 instructions -> 20,000,000" in failures["memmap_init"].get("message")
    assert "<script>" in failures["boots"].get("message")


def test_a_reader_of_others_counts_what_junit_says():
    junitparser = pytest.importorskip("junitparser")
    shown = board(bad_night())
    found = testcases.cases(shown.night, shown.changes)
    whole = junitparser.JUnitXml.fromstring(testcases.junit(shown.night, found))
    (suite,) = whole
    assert (whole.tests, whole.failures, suite.name) == (2, 2, "eager.small.work")
    said = {case.name: case.result[0].message for case in suite}
    assert said == {case.name: case.text for case in found}
    whole.update_statistics()
    assert (whole.tests, whole.failures, whole.errors) == (2, 2, 0)


def test_ktap_counts_and_no_text_of_the_guest_begins_a_line():
    shown = board(bad_night())
    text = testcases.ktap(testcases.cases(shown.night, shown.changes))
    assert text.splitlines()[:3] == ["KTAP version 1", "1..1", "  KTAP version 1"]
    assert "  not ok 1 boots\n" in text
    assert text.endswith("not ok 1 eager.small.work\n")
    assert "\x1b" not in text


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
    assert "(+100.00%)" in text


def test_a_night_whose_date_is_not_later_is_noted():
    nights = make(Year(nights=3, counts={"boot": 10**6}))
    nights[2] = nights[2].model_copy(update={"day": date(1970, 1, 1)})
    assert "clock of the host went back" in dashboard.render(board(nights))[1]


def test_csv_has_every_figure_of_every_night():
    nights = make(Year(nights=3, counts={"boot": 10**6}, seconds={"boot": 2.0}))
    lines = history.to_csv(nights).decode().splitlines()
    assert lines[0].split(",") == [column.name for column in history.COLUMNS]
    assert len(lines) == 7
    assert lines[1].startswith(
        "1,2026-01-01,eager,small,work,boot,instructions,1000000.0,1,0.0,true"
    )


REAL = ROOT / "results/reference/nightly"


def test_six_real_nights_say_what_was_planted():
    nights, damage = History(REAL / "history").read()
    assert not damage
    found = changes(nights, Tolerance())
    assert [status(found, n) for n in range(1, 7)] == [0, 0, 1, 0, 1, 0]
    worse = {(c.found, c.variant, c.inputs) for c in found if c.regression}
    assert worse == {
        (3, "grow", ("variant grow tree: 301e9290100a -> 8fd4c543f925",)),
        (5, "lazy", ("variant lazy boot: deferred_init=lazy -> ",)),
    }
    assert "memmap_init" in {c.subject.name for c in found if c.regression and c.found == 3}
    counts = [{(f.subject, f.variant): f.value for f in n.figures if f.exact} for n in nights]
    assert counts[0] == counts[1] and len(counts[0]) == 57
    assert counts[5] == counts[0]


@pytest.mark.parametrize("last", range(1, 7))
def test_the_reports_of_the_real_nights_come_from_their_history(last):
    nights = History(REAL / "history").read()[0][:last]
    shown, folder = board(nights), REAL / "reports" / nights[-1].day.isoformat()
    assert dashboard.render(shown)[1] == (folder / "summary.md").read_text()
    ktap = testcases.ktap(testcases.cases(shown.night, shown.changes))
    assert ktap == (folder / "results.ktap").read_text()


# Pruning.


def littered(folder: Path, days: int) -> Path:
    for n in range(days):
        day = date(2026, 1, 1) + timedelta(days=n)
        for part in prune.PARTS:
            path = folder / part / day.isoformat()
            path.mkdir(parents=True)
            (path / "data").write_bytes(b"x" * 1000)
    (folder / "history").mkdir(exist_ok=True)
    (folder / "history/000001-2026-01-01.json").write_text("{}")
    (folder / "boots/mine").mkdir()
    return folder


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "boots").iterdir())


def test_pruning_by_age_and_size_keeps_the_history_and_two_nights(tmp_path):
    there = prune.leaves(littered(tmp_path, 5))
    assert len(there) == 10
    by_age = prune.choose(there, date(2026, 1, 5), days=2)
    assert {leaf.day.day for leaf in by_age} == {1, 2}
    by_size = prune.choose(there, date(2026, 1, 5), size=7000)
    assert [leaf.day.day for leaf in by_size] == [1, 1, 2]
    assert {leaf.day.day for leaf in prune.choose(there, date(2030, 1, 1), days=0)} == {1, 2, 3}


def test_prune_on_the_command_line(tmp_path, capfd):
    littered(tmp_path, 4)
    assert main(["nightly", "--folder", str(tmp_path), "--prune"]) == 2
    assert main(["nightly", "--folder", str(tmp_path), "--prune", "--days", "30"]) == 0
    assert left(tmp_path) == ["2026-01-03", "2026-01-04", "mine"]
    assert (tmp_path / "history/000001-2026-01-01.json").exists()
    assert "4 folders" in capfd.readouterr().out


# From end to end, with a QEMU that plays a part.


@pytest.fixture
def nightly(checkout):
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("time: {blocks: 2, warmup: 1}", "work: {blocks: 1}")
    (checkout / "experiments/nightly.yaml").write_text(text)
    return checkout


def night(day: str, *words: str) -> int:
    return main(["nightly", "--no-update", "--date", day, *words])


def test_nights_from_end_to_end(nightly, capfd, monkeypatch, tmp_path):
    console = ROOT / "tests/golden/console/deferred-16g.log"
    slow = tmp_path / "slow.log"
    slow.write_bytes(console.read_bytes().replace(b"end=512057754", b"end=532057754"))
    monkeypatch.setenv("FAKE_CONSOLE", str(console))
    assert night("2026-11-20") == 0
    assert night("2026-11-21") == 0
    monkeypatch.setenv("FAKE_CONSOLE", str(slow))
    capfd.readouterr()
    assert night("2026-11-22", "--json") == 1
    said = json.loads(capfd.readouterr().out)["changes"]
    assert [(c["kind"], c["variant"], c["subject"]["name"], c["regression"]) for c in said] == [
        ("exact", "one", "memmap_init", True),
        ("exact", "two", "memmap_init", True),
    ]
    assert said[0]["after"] - said[0]["before"] == 20_000_000
    assert night("2026-11-22") == 1, "a night in the history is reported again, not booted"
    assert night("2026-11-23") == 0, "called once"
    monkeypatch.setenv("FAKE_QEMU", "panic")
    assert night("2026-11-24") == 1
    folder = nightly / "results/nightly"
    assert (folder / "latest").resolve() == folder / "reports/2026-11-24"
    assert sorted(path.name for path in (folder / "latest").iterdir()) == sorted(FILES)
    assert len(list((folder / "history").glob("*.json"))) == 5
    assert night("2026-11-20") == 2
    assert "set the clock" in capfd.readouterr().err
    assert main(["nightly", "--report"]) == 1


@pytest.fixture
def interrupted(nightly):
    """Boots of a night, after which it was ended by Ctrl-C: while it waited for the history."""

    def hit() -> None:
        until(lambda: list(nightly.glob("results/nightly/boots/**/report.html")))
        os.kill(os.getpid(), signal.SIGINT)

    hitter = threading.Thread(target=hit)
    with locked(nightly / "results/nightly/history/.lock"):
        hitter.start()
        assert night("2026-11-20") == 130
    hitter.join()
    assert not list(nightly.glob("results/nightly/history/*.json"))
    return sorted(nightly.glob("results/nightly/boots/*/*/*/runs/*/*/*/*/run.json"))


def test_an_interrupted_night_goes_on_and_is_counted_once(nightly, interrupted):
    stamps = [path.stat().st_mtime_ns for path in interrupted]
    assert night("2026-11-20") == 0
    assert [path.stat().st_mtime_ns for path in interrupted] == stamps
    assert len(list(nightly.glob("results/nightly/history/*.json"))) == 1


def test_a_night_with_a_boot_that_cannot_be_read_is_not_green(nightly, interrupted, capfd):
    foreign(interrupted[0])
    capfd.readouterr()
    assert night("2026-11-20", "--json") == 2
    (change,) = json.loads(capfd.readouterr().out)["changes"]
    assert change["kind"] == "damaged"
    assert "schema version 999" in change["text"]
