# SPDX-License-Identifier: GPL-2.0-only
"""The statistics of the bench, and its multiplied runs."""

import random
import statistics
from pathlib import Path

import pytest

from bench import collate
from bench.figure import Figure, interval, percent_more
from harness.results.folder import Results
from tests.support.records import a_run


@pytest.mark.parametrize(
    ("size", "ranks"),
    # The table of the sign test (95 %, two-sided): n, and the ranks counted from 1.
    [(1, (1, 1)), (5, (1, 5)), (6, (1, 6)), (9, (2, 8)), (12, (3, 10)), (20, (6, 15))],
)
def test_the_interval_has_the_ranks_of_the_sign_test(size, ranks):
    values = list(range(1, size + 1))
    random.Random(size).shuffle(values)
    assert interval(values) == ranks


def test_the_interval_holds_the_median_as_often_as_it_says():
    draw = random.Random(1)
    ends = [interval([draw.expovariate(1) for _ in range(15)]) for _ in range(2000)]
    held = statistics.fmean(low <= 0.6931 <= high for low, high in ends)
    assert 0.95 <= held <= 0.99


@pytest.mark.parametrize(
    ("values", "below", "above", "met"),
    [
        ((1, 2, 3), 4, None, "yes"),
        ((1, 2, 3), 2, None, "unclear"),
        ((1, 2, 3), 1, None, "no"),
        ((1, 2, 3), None, 0.5, "yes"),
        ((1, 2, 3), None, 3, "no"),
        ((), 4, None, ""),
        ((1,), None, None, ""),
    ],
)
def test_an_aim_is_met_by_the_whole_interval(values, below, above, met):
    assert Figure("x", "s", values, below, above).met == met


def test_a_skipped_figure_says_why():
    figure = Figure("x", "s", below=1, note="no reason")
    assert figure.as_row() == ["x", "skipped", "s", "< 1", "", "0", "", "no reason"]
    assert figure.as_json()["median"] is None


def test_per_cent_are_those_of_the_first():
    assert percent_more([(2, 3), (4, 4)]) == (50, 0)


def test_multiplied_runs_are_all_different_and_always_the_same(tmp_path):
    sample = Results(tmp_path / "sample")
    for block in (0, 1):
        part = sample.path / f"runs/eager/tiny-2g/time/{block:03d}.part"
        part.mkdir(parents=True)
        (part / "console.log").write_bytes(b"raw")
        sample.finish(part, a_run(block=block))
    (sample.path / collate.LOCK_FILE).write_text("lock")

    def made(name: str) -> list[tuple[str, str, int]]:
        folder = tmp_path / name
        collate.multiply(sample, folder, 5)
        runs, damage = Results(folder).read()
        assert not damage
        assert all((item.folder / "console.log").read_bytes() == b"raw" for item in runs)
        return [(str(i.folder.relative_to(folder)), i.run.run_id, i.run.block) for i in runs]

    runs = made("one")
    assert runs == made("two")
    assert [block for *_, block in runs] == [0, 1, 2, 3, 4]
    assert len({run_id for _, run_id, _ in runs}) == 5
    assert {Path(folder).name for folder, *_ in runs} == {f"{n:03d}" for n in range(5)}
