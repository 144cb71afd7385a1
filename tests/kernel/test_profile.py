# SPDX-License-Identifier: GPL-2.0-only
"""The profile of kernels built here, held against the marks of the same boot."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from harness.compare import explain
from harness.dataset import Dataset
from harness.model import Counting, Experiment, Probes
from harness.parse import WAITING
from harness.report import render
from harness.results import Results
from harness.run import ProfiledBoot, RunOptions, profile_boot, run_experiment

MACHINE = "quad-8g"
VARIANTS = ("eager", "deferred")
CLOSE, FEW = 1e-6, 300
"""Of a phase; or instructions: those of the marks themselves, within a phase and beside it."""
EXACT = ("boot", "setup_arch", "vmemmap_populate", "memmap_init", "mm_core_init")
EXACT += ("memblock_free_all", "smp_init", "page_alloc_init_late", "initcalls")
WIDER = {"reserve_pages": 0.01, "hash_tables": 0.02, "deferred_init": 0.01}
"""Phases whose mark is around a part of the function alone, or of what is left of it: how far that
is from all of it."""


@pytest.fixture(scope="module")
def boots(project, tmp_path_factory) -> dict[str, ProfiledBoot]:
    folder = tmp_path_factory.mktemp("profile")
    return {name: profile_boot(project, name, MACHINE, Results(folder / name)) for name in VARIANTS}


class Pair(NamedTuple):
    """A phase by marks and by functions, instructions: executed from start to end and in its calls,
    and idle meanwhile."""

    variant: str
    phase: str
    marks: tuple[int, int, int | None]
    functions: tuple[int, int, int]


@pytest.fixture(scope="module")
def both(project, source_of, tmp_path_factory) -> list[Pair]:
    """Every phase that both tell, of boots on two bases."""
    source_of("7.3")
    group = {"variants": VARIANTS, "machines": [MACHINE], "clocks": {"work": {}}}
    asked = Experiment(
        name="both",
        description="marks and functions",
        baseline="eager",
        matrix=[group],
        bases=("6.12", "7.3"),
        instrument="both",
        probes=Probes(run=()),
    )
    folder = tmp_path_factory.mktemp("both")
    ran = run_experiment(project, asked, RunOptions(folder))
    assert not ran.wrong
    return list(_pairs(render.publish(ran.results)))


def _pairs(found: Dataset) -> Iterator[Pair]:
    phases = found.phases
    for (variant, name), rows in phases.groupby(["variant", "phase"]):
        marks, functions = (rows[rows["source"] == source] for source in ("mark", "profile"))
        if marks.empty:
            continue
        assert len(functions) == 1, (variant, name)
        # What nodes do at the same time is from the first start to the last end.
        whole = marks[marks["node"].isna()] if marks["node"].isna().any() else marks
        start, end = whole["start_instructions"].min(), whole["end_instructions"].max()
        idle = None if len(whole) > 1 else int(whole["idle"].iloc[0])
        one = functions.iloc[0]
        yield Pair(
            str(variant),
            str(name),
            (int(end - start), int(whole["busy_instructions"].sum()), idle),
            (int(one["instructions"]), int(one["busy_instructions"]), int(one["idle"])),
        )


def _agree(pair: Pair) -> None:
    close = pytest.approx(pair.marks[0], rel=WIDER.get(pair.phase, CLOSE), abs=FEW)
    assert pair.functions[0] == close, pair


def test_functions_tell_what_marks_tell(both: list[Pair]) -> None:
    told = {(pair.variant, pair.phase) for pair in both}
    assert {phase for _, phase in told} >= {*EXACT, *WIDER}
    assert len({variant for variant, _ in told}) == 4
    for pair in both:
        _agree(pair)


def test_calls_that_lie_apart_add_up_alike(both: list[Pair]) -> None:
    for pair in both:
        if pair.phase == "hash_tables":
            close = pytest.approx(pair.marks[1], rel=WIDER[pair.phase])
            assert pair.functions[1] == close, pair


def test_the_work_clock_tells_idle_from_executed(both: list[Pair]) -> None:
    """What was executed is counted one by one: the clock less that is what was idle."""
    waits = 0
    for pair in both:
        variant, phase, marks, functions = pair
        if marks[2] is None:
            continue
        clock = marks[0] + marks[2]
        if phase not in WIDER:
            assert marks[2] == pytest.approx(clock - functions[0], abs=FEW + CLOSE * clock)
        assert phase in WAITING or phase in WIDER or not marks[2], (variant, phase)
        waits += marks[2] > 1_000_000
    assert waits >= 4


AHEAD = "what the firmware executed is some 2 M more by the clock less its waits than by the count"


@pytest.mark.parametrize(
    "base",
    ["6.12", pytest.param("7.3", marks=pytest.mark.xfail(strict=True, reason=AHEAD))],
)
def test_what_was_idle_is_told_of_the_same_phase(both: list[Pair], base: str) -> None:
    """On 7.3 the wait of smp_init is told of the phase behind it; the whole boot is right."""
    for variant, phase, marks, functions in both:
        if variant.endswith(f"@{base}") and marks[2] is not None:
            assert marks[2] == functions[2], (variant, phase)


def test_a_function_that_has_returned_calls_nothing(boots) -> None:
    for line in boots["eager"].profile.collapsed():
        chain = line.rpartition(" ")[0].split(";")
        assert "memmap_init_range" not in chain[:-1] or chain[-1] != "memmap_init_range", line
        assert chain.count("__cond_resched") < 2, line


def test_functions_explain_what_deferred_changes(boots) -> None:
    found = explain(boots["eager"].profile, boots["deferred"].profile)
    assert found.telling[0].function == "memmap_init_range" and found.telling[0].difference < 0
    assert {each.function for each in found.telling} & {
        *("deferred_init_maxorder", "deferred_init_memmap", "__init_single_page"),
    }


@pytest.mark.parametrize(
    ("event", "function", "each"),
    [
        ("misses", "memmap_init_range", 1),
        ("misses", "__free_pages_core", 1),
        ("stores", "memmap_init_range", 9),
    ],
)
def test_a_page_is_fetched_twice_and_written_by_nine_stores(
    project, tmp_path, event, function, each
) -> None:
    """That of 2 GiB the memmap is as large as the cache, which keeps none of it."""
    counting = Counting(event=event)
    found = profile_boot(project, "eager", "tiny-2g", Results(tmp_path), counting=counting)
    assert (found.profile.event, found.profile.whole) == (event, True)
    assert not found.run.phases or {phase.source for phase in found.run.phases} == {"host"}
    pages = found.profile.costs[function].own / (2 << 30 >> 12)
    assert pages == pytest.approx(each, rel=0.05)
