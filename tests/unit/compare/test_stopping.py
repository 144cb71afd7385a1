# SPDX-License-Identifier: GPL-2.0-only
"""Whether to add blocks: the schedule of looks, and what is seen there."""

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.compare.stopping import look, parse_width, schedule, until
from harness.errors import UserError
from harness.model.experiment import Experiment
from harness.project import Project
from harness.report.render import publish
from harness.run.loop import RunOptions, run_experiment
from tests.support.synthetic import Recipe, make


def experiment(blocks: int = 3, clock: str = "time") -> Experiment:
    group = {"variants": ["base", "new"], "machines": ["small"]}
    matrix = [{**group, "clocks": {clock: {"blocks": blocks}}}]
    data = {"name": "e", "description": "d", "baseline": "base", "matrix": matrix}
    return Experiment.parse(data, "e")


@pytest.mark.parametrize(
    ("own", "looks"),
    [(3, [6, 12, 24, 48]), (8, [8, 12, 24, 48]), (24, [24, 48]), (100, [100])],
)
def test_looks_are_fixed_and_never_below_the_experiment(own: int, looks: list[int]) -> None:
    assert list(schedule(experiment(own))) == looks


def test_without_the_time_clock_there_is_nothing_to_wait_for() -> None:
    with pytest.raises(UserError, match="time clock"):
        list(schedule(experiment(clock="work")))


@pytest.mark.parametrize(("noise", "reached"), [(0.002, True), (0.2, False)])
def test_a_look_sees_the_widest_interval(noise: float, reached: bool) -> None:
    made = make(Recipe({"base": 1.0, "base@2": 1.0, "new": 0.5}, noise=noise))
    seen = look(made, experiment(), "boot", 0.02, 8)
    assert [(w.variant, w.blocks) for w in seen.widths] == [("new", 8)]
    assert seen.reached == reached
    assert str(seen).startswith("look at 8 blocks, boot: widest is ±")


def test_where_nothing_boots_there_is_nothing_to_compare_and_nothing_is_reached() -> None:
    failed = frozenset(("new", block) for block in range(8))
    seen = look(
        make(Recipe({"base": 1.0, "new": 1.0}, failed=failed)), experiment(), "boot", 0.02, 8
    )
    assert not seen.reached and not seen.widths and "nothing to compare" in str(seen)


def test_five_blocks_have_no_interval() -> None:
    few = look(make(Recipe({"base": 1.0, "new": 1.0}, blocks=5)), experiment(), "boot", 0.02, 5)
    assert not few.reached and "no interval (new on small)" in str(few)


def test_a_width_is_a_percentage() -> None:
    assert parse_width("2%") == 0.02 and parse_width(" 0.5 % ") == 0.005
    for wrong in ("2", "0%", "-1%", "100%", "x%"):
        with pytest.raises(UserError, match="not a width"):
            parse_width(wrong)


@pytest.fixture
def go_on(checkout):
    """Boots up to looks at few blocks, and publishes; answers the looks, and the results."""
    project = Project.find(checkout, checkout.parent / "cache")
    experiment, options = project.experiment(Path("pair")), RunOptions(checkout / "results")

    def boot(wanted: float, *looks: int):
        said = []
        steps = until("host_rss_peak_bytes", wanted, said.append, looks)
        ran = run_experiment(project, experiment, options, steps=steps)
        assert not ran.wrong
        publish(ran.results)
        return said, ran.results

    return boot


def test_blocks_are_added_up_to_each_look_and_what_was_booted_stays(go_on) -> None:
    (seen,), results = go_on(0.99, 6, 7, 8)
    assert seen.reached and seen.blocks == 6
    before = {path: path.read_bytes() for path in results.files()}
    assert len(before) == 2 * (1 + 6)
    said, _ = go_on(1e-6, 6, 7, 8)
    assert [(seen.blocks, seen.reached) for seen in said] == [(6, False), (7, False), (8, False)]
    assert len(results.files()) == 2 * (1 + 8)
    assert all(path.read_bytes() == data for path, data in before.items())


def test_looks_are_kept_once_and_shown(go_on, capfd) -> None:
    _, results = go_on(1e-6, 6, 7)
    folder = results.path
    lines = (folder / "looks.jsonl").read_text().splitlines()
    assert [json.loads(line)["blocks"] for line in lines] == [6, 7]
    (folder / "looks.jsonl").write_text("\n".join([*lines, lines[0][:40]]))
    go_on(1e-6, 6, 7)
    go_on(0.99, 6, 7)
    kept = [json.loads(line) for line in (folder / "looks.jsonl").read_text().splitlines()[3:]]
    # Blocks that are there already are looked at as well: the label is what was asked for.
    assert [(k["blocks"], k["wanted"], k["widths"][0]["blocks"]) for k in kept] == [
        (6, 0.000001, 7),
        (6, 0.99, 7),
    ]
    text = (folder / "report.md").read_text()
    assert "looks of" in text and "| no |" in text and "| yes |" in text
    assert "Damaged: looks.jsonl: line 3 is no look" in text
    assert main(["compare", str(folder), "--json"]) == 0
    assert len(json.loads(capfd.readouterr().out)["looks"]) == 4
    for form in ([], ["--markdown"]):
        assert main(["compare", str(folder), *form]) == 0
        assert "line 3 is no look" in capfd.readouterr().out
