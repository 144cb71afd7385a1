# SPDX-License-Identifier: GPL-2.0-only
"""Two kernels of one night: the mood of the host cancels."""

import numpy as np
import pytest

from harness.cli import main
from harness.compare import Interest, centre
from harness.nightly.changes import Tolerance, changes, counts, status
from harness.nightly.history import History, Pair
from harness.nightly.pairs import growth, unpaired
from tests.support.nights import Year, make
from tests.support.store import keep, lay_sources

INTEREST = Interest(0.02, 0.005)
BLOCKS = 6


def pairs(nights, spread, steps=(), seed=1):
    """A kernel that is another one each night; `steps` are logarithms by night."""
    draw, known = np.random.default_rng(seed), dict(steps)
    found = []
    for night in range(nights):
        logs = known.get(night, 0.0) + draw.normal(0, spread, BLOCKS)
        found.append(
            Pair(
                **{"variant": "eager", "machine": "small", "clock": "time", "name": "boot"},
                **{"metric": "duration_s", "before": 2.0, "n": BLOCKS},
                change=float(centre(logs)),
                spread=float(np.std(logs, ddof=1)),
            )
        )
    return found


def test_a_step_is_called_on_its_night_and_a_steady_year_calls_nothing():
    assert [s.found for s in growth(pairs(60, 0.03, {40: np.log(1.15)}), INTEREST)] == [40]
    assert not [s for seed in range(5) for s in growth(pairs(365, 0.03, seed=seed), INTEREST)]


def test_growth_by_bits_is_called_from_where_it_began():
    creep = dict.fromkeys(range(20, 60), 0.01)
    first, *_ = growth(pairs(60, 0.02, creep), INTEREST)
    assert 22 <= first.found < 50
    span = first.found + 1 - max(first.start, 20)
    assert first.after / first.before == pytest.approx(np.exp(0.01 * span), rel=0.15)


def test_a_mood_of_the_host_is_nobodys_and_a_pair_is():
    """The series doubles for good; tonight's kernel is 20 % slower than that of last night."""
    year = Year(nights=40, seconds={"boot": 2.0}, steps={"boot": {20: 2.0}})
    nights = make(year)
    assert changes(nights, Tolerance())
    steady, told = pairs(40, 0.01, {39: np.log(1.2)}), []
    for night, pair in zip(nights, steady, strict=True):
        told.append(night.model_copy(update={"pairs": (pair,)}))
    (found,) = changes(told, Tolerance())
    assert (found.kind, found.night, found.regression) == ("pair", 40, True)
    assert found.ratio == pytest.approx(1.2, rel=0.02)
    assert status([found], 40) == 1
    assert str(counts(told[-1], [found])) == "1 regressed, 0 improved, 0 unchanged"


def test_a_kernel_without_its_pair_is_named():
    nights = make(Year(nights=2, seconds={"boot": 2.0}))
    old, new = (
        n.model_copy(update={"kernels": {"eager": k}}) for n, k in zip(nights, "ab", strict=True)
    )
    assert unpaired([old, new]) == ["eager"]
    assert unpaired([old, old]) == []


@pytest.fixture
def work(checkout):
    """A variant that is built from source, and its kernel; the time clock boots it six times."""
    project = lay_sources(checkout, ("work",))
    keep(project, project.variant("work"))
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("[one, two]", "[work]").replace("baseline: one", "baseline: work")
    text = text.replace("time: {blocks: 2, warmup: 1}", "time: {blocks: 2}, work: {blocks: 1}")
    (checkout / "experiments/nightly.yaml").write_text(text)
    return project


def test_the_kernel_of_the_night_before_boots_beside_another_one(work):
    file = work.root / "kernel-patches/variants/work.yaml"
    for day, fragments in (("20", "[base]"), ("21", "[base]"), ("22", "[base, debug]")):
        file.write_text(file.read_text().replace("[base]", fragments))
        keep(work, work.variant("work"))
        assert main(["nightly", "--no-update", "--date", f"2026-11-{day}"]) == 0
    nights, damage = History(work.root / "results/nightly/history").read()
    assert not damage
    assert [bool(night.pairs) for night in nights] == [False, False, True]
    assert {(p.variant, p.clock, p.n) for p in nights[2].pairs} == {("work", "time", 2)}
    for night in nights:
        assert set(night.kernels) == {"work"}
        assert not [name for name in night.inputs if "before" in name]
        assert {figure.variant for figure in night.figures} == {"work"}
    boots = work.root / "results/nightly/boots/2026-11-22"
    blocks = {p.parts[-3:] for p in boots.glob("nightly/*/runs/*/small/*/*")}
    assert blocks == {("small", "time", "000"), ("small", "time", "001"), ("small", "work", "000")}
    assert len(list(boots.glob("nightly/*/runs/work-before/small/time/*"))) == 2
    assert not list(boots.glob("nightly/*/runs/work-before/small/work"))
