# SPDX-License-Identifier: GPL-2.0-only
"""Charts as they are drawn: ticks, units, marks, and what foreign text does to them: nothing."""

import itertools
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import altair
import pandas as pd
import pytest

from harness.report import charts, vega
from harness.report.charts import Measure
from harness.report.palette import Who, marks_of
from harness.text import clean
from harness.units import GIB, TIB

EVIL = "\"><script>alert(1)</script>'&\\n<!--\u2028\x1b${x}`]"
NAMES = ("eager", "grow", EVIL)
WHO = [Who(name, place, mark) for place, (name, mark) in enumerate(marks_of(NAMES).items())]
TIME, WORK = Measure("duration_s", "TCG time"), Measure("instructions", "work clock")
A_PAGE = Measure("instructions_per_page", "work clock")


def points(*rows):
    columns = ["variant", "kind", "size", "median", "low", "high", "more"]
    return pd.DataFrame(rows, columns=columns)


POINTS = points(
    *((name, "measured", n * GIB, n * 1.5, n, n * 2, "") for name in NAMES for n in (1, 4)),
    ("eager", "extrapolated", 64 * GIB, 99.0, 99.0, 99.0, ", EXTRAPOLATED"),
    ("grow", "failed", 64 * GIB, None, None, None, "killed"),
)  # fmt: skip
LINES = pd.DataFrame(
    {
        "variant": "eager",
        "kind": ["fit", "fit", "beyond", "beyond"],
        "size": [GIB, 4 * GIB, 4 * GIB, 64 * GIB],
        "value": [1.5, 6.0, 6.0, 99.0],
    }
)
BARS = pd.DataFrame(
    [
        {"variant": name, "part": part, "amount": amount, "share": amount / 4}
        for name in NAMES
        for part, amount in (("a", 1.0), ("b", 3.0))
    ]
)
SAMPLES = pd.DataFrame(
    [{"variant": n, "second": s / 10, "resident": s << 25} for n in NAMES for s in range(40)]
)
PHASES = pd.DataFrame([{"variant": n, "part": "a", "begin": 0.1, "end": 0.4} for n in NAMES])
BOOTS = pd.DataFrame(
    [{"variant": n, "block": b, "value": 1 + b / 10} for n in NAMES for b in range(4)]
)
CHANGES = pd.DataFrame(
    [
        {"variant": n, "of": of, "ratio": 0.5, "low": a, "high": b, "word": "faster", "said": "s"}
        for of, a, b in (("boot", 0.4, 0.6), (EVIL, None, None))
        for n in NAMES
    ]
)  # fmt: skip
NIGHTS = pd.DataFrame(
    [
        {"variant": n, "night": k, "value": 1e9 * (1 + k // 3), "called": k == 3}
        for n in NAMES
        for k in (1, 2, 3)
    ]
)
CHARTS = {
    "stacked": lambda: charts.stacked(BARS, WHO, ("a", "b"), TIME),
    "against_memory": lambda: charts.against_memory(POINTS, LINES, WHO, TIME),
    "over_boot": lambda: charts.over_boot(SAMPLES, PHASES, WHO, ("a", "b"), "TCG time"),
    "every_boot": lambda: charts.every_boot(BOOTS, WHO, TIME),
    "changes": lambda: charts.changes(CHANGES, WHO, "eager"),
    "timeline": lambda: charts.timeline(NIGHTS, WHO, WORK),
}


@pytest.fixture(scope="module")
def painter():
    with vega.Painter() as painter:
        yield painter


@pytest.fixture(scope="module")
def draw(painter):
    return lambda spec: ElementTree.fromstring(painter.draw(spec, EVIL, titles=True).result())


def texts(root, kind="role-axis-label"):
    groups = [group for group in root.iter("g") if kind in group.get("class", "")]
    return [text.text for group in groups for text in group.iter("text")]


def titles(root):
    """Marks by what they say of themselves."""
    found = {}
    for mark in root.iter("path"):
        if (title := mark.find("title")) is not None:
            found.setdefault(title.text, []).append(mark)
    return found


def place(mark):
    x, y = re.fullmatch(r"translate\((.*),(.*)\)", mark.get("transform")).groups()
    return float(x), float(y)


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_of_the_schema_and_know_no_number_that_json_does_not(name):
    spec = CHARTS[name]()
    altair.Chart.from_dict(spec, validate=True)
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert CHARTS[name]() == spec


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_drawn_whole_and_inside(name, draw):
    root = draw(CHARTS[name]())
    _, _, wide, high = map(float, root.get("viewBox").split())
    said = ElementTree.tostring(root, encoding="unicode")
    assert "NaN" not in said and "undefined" not in said and "null" not in said
    assert 380 < wide < 500
    # In the frame of the chart: no mark and no label begins outside of it.
    frame = root.find("g").get("transform")
    left, top = map(float, re.findall(r"-?[\d.]+", frame))
    marks = [m for title in titles(root).values() for m in title if m.get("transform")]
    assert marks or name == "stacked"
    for x, y in map(place, marks):
        assert -left <= x <= wide - left and -top <= y <= high - top
    drawn = {t for t in titles(root) if t.startswith("eager,")}
    assert drawn and all(re.search(r"\d (s|ms|bytes\)|instructions)|: x0|killed", t) for t in drawn)


@pytest.mark.parametrize("name", CHARTS)
def test_foreign_text_stays_text(name, draw, painter):
    spec = CHARTS[name]()
    picture = painter.draw(spec, EVIL, titles=True).result()
    assert "<script" not in picture and "\x1b" not in picture
    # As text it is all there, but for what drives a terminal.
    shown = clean(EVIL)
    root = ElementTree.fromstring(picture)
    assert root.get("aria-label") == shown
    assert shown in [text.text for text in root.iter("text")]
    assert any(title.startswith(f"{shown}, ") for title in titles(root))


@pytest.mark.parametrize(
    ("low", "high", "measure", "ticks"),
    [
        (0.05, 20, TIME, [0.1, 1, 10]),
        (90, 800, TIME, [100, 200, 500]),
        (3.1, 3.9, TIME, [3.2, 3.4, 3.6, 3.8]),
        (2e6, 4e12, WORK, [1e7, 1e8, 1e9, 1e10, 1e11, 1e12]),
        (GIB, 16 * TIB, Measure("x_bytes", ""), [2**n for n in (30, 33, 36, 39, 42)]),
        (0.9 * GIB, 2.2 * GIB, Measure("x_bytes", ""), [GIB, 1.5 * GIB, 2 * GIB]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_round_and_few(low, high, measure, ticks):
    assert charts._round(low, high, measure) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("values", "measure", "said", "title"),
    [
        ((0.2, 1.0), TIME, ["0.2 s", "1 s"], "TCG time, s"),
        ((0.1, 0.4), TIME, ["100 ms", "400 ms"], "TCG time, ms"),
        ((1e-5, 10.0), TIME, ["10 µs", "100 ms", "10 s"], "TCG time, s"),
        ((4e8, 1e9), WORK, ["0.5 G", "1 G"], "instructions, work clock"),
        ((4e10, 1e13), WORK, ["100 G", "10 T"], "instructions, work clock"),
        ((4000, 5000), Measure("ns_per_page", "TCG time"), ["4 µs", "5 µs"], "TCG time a page, µs"),
        ((40.0, 50.0), A_PAGE, ["45"], "instructions a page, work clock"),
    ],
)  # fmt: skip
def test_axes_name_unit_and_clock(values, measure, said, title, draw):
    boots = pd.DataFrame({"variant": "eager", "block": [0, 1], "value": values})
    root = draw(charts.every_boot(boots, WHO, measure))
    assert set(said) <= set(texts(root))
    assert texts(root, "role-axis-title") == [title]


@pytest.mark.parametrize(
    ("value", "measure", "said"),
    [
        (12_345_678_901, WORK, "12,345,678,901 instructions"),
        (1.234567, TIME, "1.234567 s"),
        (12_345.5, Measure("ns_per_page", "time"), "12,345.5 ns"),
        (3 * GIB, Measure("x_bytes", "m"), "3GiB (3,221,225,472 bytes)"),
    ],
)
def test_a_mark_says_its_exact_value_with_its_unit(value, measure, said, draw):
    boots = pd.DataFrame({"variant": "eager", "block": [7], "value": [value]})
    assert f"eager, block 7: {said}" in titles(draw(charts.every_boot(boots, WHO, measure)))


def test_large_figures_at_bars_keep_their_unit(draw):
    bars = BARS.assign(amount=BARS["amount"] * 3.1e9)
    assert (
        texts(draw(charts.stacked(bars, WHO, ("a", "b"), WORK))).count("12.4 G instructions") == 3
    )


def test_bars_are_as_long_as_their_parts(draw):
    bars = BARS.assign(amount=[1.0, 3.0, 2.0, 0.0, 1.0, 1.0])
    found = titles(draw(charts.stacked(bars, WHO, ("a", "b"), TIME)))
    wide = {
        title.partition(":")[0]: float(re.match(r"M[^h]*h([\d.]+)", bar.get("d"))[1])
        for title, (bar,) in found.items()
    }
    unit = wide["eager, a"]
    assert wide["eager, b"] == pytest.approx(3 * unit, abs=0.2)
    assert wide["grow, a"] == pytest.approx(2 * unit, abs=0.2) and wide["grow, b"] < 0.2


def test_what_is_extrapolated_is_marked(draw):
    root = draw(CHARTS["against_memory"]())
    (far,) = (m for title, (m,) in titles(root).items() if "EXTRAPOLATED" in title)
    assert far.get("fill") == "var(--page)"
    dashed = [p for p in root.iter() if "4,4" in p.get("stroke-dasharray", "")]
    assert len(dashed) == 1
    alone = draw(charts.against_memory(POINTS[:6], LINES[:0], WHO, TIME))
    assert not [p for p in alone.iter() if "4,4" in p.get("stroke-dasharray", "")]


def test_marks_of_one_size_stand_side_by_side_and_what_failed_has_its_own_place(draw):
    root = draw(CHARTS["against_memory"]())
    found = {
        title: place(marks[0])[0]
        for title, marks in titles(root).items()
        if marks[0].get("transform")
    }
    small = sorted(x for title, x in found.items() if ", 1GiB:" in title)
    assert len(small) == 3 and min(b - a for a, b in itertools.pairwise(small)) > 4
    # The ticks are the sizes that were tried.
    assert set(texts(root)) >= {"1GiB", "4GiB", "64GiB"}
    (cross,) = (text for text in root.iter("text") if text.text == "✕")
    far = next(x for title, x in found.items() if "EXTRAPOLATED" in title)
    assert abs(place(cross)[0] - far) > 4


def test_whiskers_go_from_the_smallest_to_the_largest(draw):
    root = draw(charts.against_memory(POINTS[:2], LINES[:0], WHO, TIME))
    lines = [g for g in root.iter("g") if "mark-rule role-mark" in g.get("class", "")]
    heights = [abs(float(line.get("y2"))) for group in lines for line in group.iter("line")]
    # Twice as much is as far everywhere on a logarithmic axis.
    assert len(heights) == 2 and heights[0] == pytest.approx(heights[1], abs=1) and heights[0] > 20


def test_intervals_are_drawn_where_there_are_any(draw):
    root = draw(CHARTS["changes"]())
    groups = [g for g in root.iter("g") if "mark-rule role-mark" in g.get("class", "")]
    assert (
        sum(len(list(g.iter("line"))) for g in groups if g.get("class") != groups[0].get("class"))
        == 3
    )
    assert texts(root).count("faster") == 6 and "x1" in texts(root)


def test_a_step_has_a_ring_around_its_night(draw):
    root = draw(charts.timeline(NIGHTS[:3], WHO, WORK))
    (mark,) = (m for t, (m,) in titles(root).items() if "night 3" in t)
    assert "+100%" in mark.find("title").text and "called" in mark.find("title").text
    rings = [
        p
        for p in root.iter("path")
        if p.get("transform") and place(p) == place(mark) and p is not mark
    ]
    assert len(rings) == 1 and rings[0].get("fill") in (None, "transparent")
    assert not [t for t in titles(root) if "night 2" in t and "called" in t]


def test_every_boot_is_a_dot_however_many(painter):
    for count in (3, 60, 5000):
        boots = pd.DataFrame(
            {
                "variant": "eager",
                "block": range(count),
                "value": [1 + n / 1e4 for n in range(count)],
            }
        )
        spec = charts.every_boot(boots, WHO, TIME)
        picture = painter.draw(spec, "t").result()
        root = ElementTree.fromstring(picture)
        (group,) = (g for g in root.iter("g") if "mark-symbol role-mark" in g.get("class", ""))
        dots = [d for path in group.iter("path") for d in path.get("d").split("h0")[:-1]] or list(
            group
        )
        # Two dots on the same pixel are one; here no two are.
        assert len(dots) == count or (count == 5000 and len(dots) > 300)
        assert len(picture) < 100_000
        (row,) = spec["datasets"]["t1"]
        assert len(row["value"]) == len(row["block"]) == count


def test_a_variant_is_hidden_by_its_name(draw):
    spec = CHARTS["every_boot"]()
    spec["params"] = [{"name": "hidden", "value": ["eager"]}]
    root = draw(spec)
    assert not [t for t in titles(root) if t.startswith("eager,")] and "eager" not in texts(root)
    assert [t for t in titles(root) if t.startswith("grow,")]


def test_altair_is_for_who_makes_a_report_alone():
    code = "import sys, harness.cli.collate, harness.parse, harness.model; print(*sys.modules)"
    argv = [sys.executable, "-c", code]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert not {"altair", "vl_convert", "jsonschema"} & set(loaded)
