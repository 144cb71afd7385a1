# SPDX-License-Identifier: GPL-2.0-only
"""Scales, ticks and marks of figures."""

import re
from xml.etree import ElementTree

import pytest

from harness.report import charts
from harness.report.charts import Bar, Curve, Lane, RatioBar, Row, Track, Who, draw
from harness.report.render import COLOURS
from harness.report.svg import Scale, labels, spaced, tag
from harness.units import GIB, MIB, TIB

EVIL = "\"><script>alert(1)</script>'&"
EAGER, GROW = Who(f"eager{EVIL}", 0), Who("grow", 1)


@pytest.mark.parametrize(
    ("scale", "binary", "ticks"),
    [
        (Scale(0, 10, 0, 1), False, [0, 2, 4, 6, 8, 10]),
        (Scale(0.7, 1.9, 0, 1), False, [1.0, 1.5]),
        (Scale(0, 3 * GIB, 0, 1), True, [0, GIB, 2 * GIB, 3 * GIB]),
        (Scale(0.05, 20, 0, 1, log=True), False, [0.1, 1, 10]),
        (Scale(90, 800, 0, 1, log=True), False, [100, 200, 500]),
        (Scale(GIB, 16 * TIB, 0, 1, log=True), True, [2**n for n in (30, 33, 36, 39, 42)]),
        (Scale(3.1, 3.9, 0, 1, log=True), False, [3.2, 3.4, 3.6, 3.8]),
        (Scale(5, 5, 0, 1), False, [5]),
    ],
)
def test_ticks_are_round_and_few(scale, binary, ticks):
    found = scale.ticks(binary)
    assert found == pytest.approx(ticks) and len(found) <= 7


def test_a_scale_meets_its_ends():
    assert [Scale(1, 100, 10, 30, log=True)(v) for v in (1, 10, 100)] == pytest.approx([10, 20, 30])
    assert [Scale(0, 4, 200, 0)(v) for v in (0, 1, 4)] == [200, 150, 0]


@pytest.mark.parametrize(
    ("values", "metric", "log", "said"),
    [
        ((0, 0.5, 1), "duration_s", False, ["0 s", "0.5 s", "1 s"]),
        ((0, 0.2, 0.4), "duration_s", False, ["0 ms", "200 ms", "400 ms"]),
        ((1e-5, 0.1, 10), "duration_s", True, ["10 µs", "100 ms", "10 s"]),
        ((0, 5e8, 1e9), "instructions", False, ["0 G", "0.5 G", "1 G"]),
        ((MIB, GIB), "host_rss_peak_bytes", True, ["1MiB", "1GiB"]),
        ((4000, 5000), "ns_per_page", False, ["4000 ns", "5000 ns"]),
    ],
)
def test_labels_have_units(values, metric, log, said):
    assert labels(values, metric, log=log) == said


def test_labels_keep_apart():
    assert spaced([0, 10, 30, 35, 90], 30) == [0, 2, 4]


def test_text_and_attributes_are_escaped():
    made = tag("text", EVIL, class_="x", title=EVIL)
    assert "<script" not in made and ElementTree.fromstring(made).text == EVIL


CURVE = Curve(
    EAGER,
    {GIB: (1.0, 0.9, 1.2), 2 * GIB: (2.0, 2.0, 2.0)},
    ((GIB, 1.0), (2 * GIB, 2.0)),
    ((2 * GIB, 2.0), (8 * GIB, 8.0)),
)
FIGURES = {
    "stacked": lambda: charts.stacked(
        EVIL, [Bar(EAGER, ((0, 1.0, "a"), (4, 3.0, "b")), "4 s")], "duration_s"
    ),
    "against_memory": lambda: charts.against_memory(EVIL, "duration_s", [CURVE]),
    "over_boot": lambda: charts.over_boot(
        EVIL, [Lane(EAGER, ((0.0, 1e6), (1.0, 1e9)), ((0, 0.1, 0.2, "memmap_init"),))]
    ),
    "every_boot": lambda: charts.every_boot(
        EVIL, "duration_s", [Row(EAGER, ((0, 1.0), (1, 1.1)), 1.05, "s")]
    ),
    "changes": lambda: charts.changes(
        EVIL, [RatioBar(EAGER, "boot", 0.5, 0.4, 0.6, "faster", "s")]
    ),
    "timeline": lambda: draw(EVIL, [Track(EVIL, (1, 2, 3), (1.0, 1.0, 2.0), (3,))]),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_well_formed_and_inside(name):
    made = FIGURES[name]()
    root = ElementTree.fromstring(made)
    assert "<script" not in made and "style=" not in made
    assert any(group.get("class") == "v0" for group in root.iter("g"))
    wide, high = map(float, root.get("viewBox").split()[2:])
    # Every mark and label begins inside of the figure.
    for x, y in re.findall(r'[Mx](?:=")?([\d.-]+)[" ]+(?:y=")?([\d.-]+)', made):
        if not x.startswith("-"):
            assert 0 <= float(x) <= wide and float(y) <= high


def test_bars_are_as_long_as_their_parts():
    bars = [
        Bar(EAGER, ((0, 1.0, ""), (1, 3.0, "")), "4 s"),
        Bar(GROW, ((0, 2.0, ""), (4, 0.0, "")), "2 s"),
    ]
    root = ElementTree.fromstring(charts.stacked("t", bars, "duration_s"))
    boxes = {
        group.get("class"): [float(r.get("width")) for r in group.iter("rect")]
        for group in root.iter("g")
    }
    unit = boxes["v0"][0]
    assert boxes["v0"] == pytest.approx([unit, 3 * unit], abs=0.2)
    assert boxes["v1"] == pytest.approx([2 * unit, 0], abs=0.2)


def test_what_is_extrapolated_is_marked():
    root = ElementTree.fromstring(charts.against_memory("t", "duration_s", [CURVE]))
    styles = [path.get("class") for path in root.iter("path")]
    assert styles.count("fit") == 1 and styles.count("beyond") == 1
    (far,) = (group for group in root.iter("g") if group.get("class") == "far")
    assert "EXTRAPOLATED" in "".join(far.itertext())
    alone = ElementTree.fromstring(
        charts.against_memory("t", "duration_s", [Curve(EAGER, CURVE.points)])
    )
    assert "beyond" not in {path.get("class") for path in alone.iter("path")}


def test_a_step_has_a_ring_around_its_night():
    tracks = [Track("a", (1, 2, 3), (1.0, 1.0, 2.0), (3,)), Track("b", (1, 3), (5.0, 5.0))]
    root = ElementTree.fromstring(draw("t", tracks))
    (ring,) = root.iter("circle")
    (mark,) = (m for m in root.iter("path") if "night 3: +100 %" in "".join(m.itertext()))
    place = re.fullmatch(r"translate\(([\d.]+) ([\d.]+)\)", mark.get("transform")).groups()
    assert [float(ring.get("cx")), float(ring.get("cy"))] == list(map(float, place))


def test_every_boot_is_a_dot_however_many():
    for count in (3, 5000):
        boots = tuple((n, 1 + n / 1e4) for n in range(count))
        made = charts.every_boot("t", "duration_s", [Row(EAGER, boots, 1.2, "")])
        few = made.count('class="mark"')
        many = sum(d.count("M") for d in re.findall(r'd="([^"]*)" class="dots"', made))
        assert max(few, many) == count
    assert len(made) < 100_000


def test_variants_differ_in_form():
    assert len({str(charts.key(n)) for n in range(COLOURS + 1)}) == COLOURS + 1
