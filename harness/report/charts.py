# SPDX-License-Identifier: GPL-2.0-only
"""How each chart of a report is drawn: Vega-Lite specifications, made by Altair from tables. Pure.

Each function takes a table with a row for each mark and answers a specification, from which
`vega` makes the still picture and a page the live chart. A variant has the same colour and the
same form in all of them. A mark says its exact value with the unit; axes name unit and clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
from altair.utils.schemapi import debug_mode

from harness.report.palette import Who
from harness.report.vega import WIDTH, Spec, finished
from harness.text import clean
from harness.units import format_size

_Units = tuple[tuple[float, str], ...]
_BYTES: _Units = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1, "B"))
_SECONDS: _Units = ((1, " s"), (1e-3, " ms"), (1e-6, " µs"))
_NANOSECONDS: _Units = ((1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1, " ns"))
_COUNTS: _Units = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"), (1, ""))


@dataclass(frozen=True)
class Measure:
    """What an axis has: a metric of the dataset, and the clock in words, such as ``TCG time``."""

    metric: str
    clock: str

    @property
    def _bytes(self) -> bool:
        return self.metric.endswith("_bytes")

    @property
    def _counts(self) -> bool:
        return self._units is _COUNTS

    @property
    def _units(self) -> _Units:
        if self._bytes:
            return _BYTES
        if self.metric.endswith("_s"):
            return _SECONDS
        return _NANOSECONDS if self.metric.startswith("ns_") else _COUNTS

    @property
    def _noun(self) -> str:
        return self.metric.replace("_per_", " a ") if self._counts else ""

    def title(self, largest: float | None = None) -> str:
        """Unit and clock. `largest` is that of a straight axis, where all ticks have one unit."""
        if self._bytes:
            return self.clock
        if self._counts:
            return f"{self._noun}, {self.clock}"
        a_page = " a page" if self.metric.endswith("_page") else ""
        unit = self._unit(largest or 1)[1] if largest or not a_page else " ns"
        return f"{self.clock}{a_page},{unit}"

    def _unit(self, value: float) -> tuple[float, str]:
        units = self._units
        return next((unit for unit in units if abs(value) >= unit[0] * 0.999), units[-1])

    def tick(self, largest: float | None = None) -> str:
        """The expression of a tick's label; all have one unit on a straight axis to `largest`."""
        if largest is None:
            return self.short("datum.value")
        size, unit = self._unit(largest)
        return f"format(datum.value / {size:.15g}, '.6~g') + '{unit}'"

    def short(self, value: str) -> str:
        """The expression of a value to four digits, with its unit."""
        if self._bytes:
            unit = f"max(0, floor(log({value}) / log(1024) + 1e-9))"
            names = "['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']"
            return f"(format({value} / pow(1024, {unit}), '.4~g') + {names}[{unit}])"
        value = f"{value} / 1e9" if self._units is _NANOSECONDS else value
        unit = "" if self._counts else "s"
        return f"replace(format({value}, '.4~s'), regexp('([a-zµ]?)$', 'i'), ' $1{unit}')"

    def exact(self, value: str) -> str:
        """The expression of a value as it is in the dataset, with its unit and what it counts."""
        if self._bytes:
            return f"{self.short(value)} + ' (' + format({value}, ',.0f') + ' bytes)'"
        if self._counts:
            return f"format({value}, ',.6~f') + ' {self._noun}'"
        unit, digits = ("ns", ",.2~f") if self._units is _NANOSECONDS else ("s", ",.6~f")
        return f"format({value}, '{digits}') + ' {unit}'"

    def said(self, value: float) -> str:
        """A value to four digits for a label: it has the unit and what is counted."""
        size, unit = self._unit(value)
        if self._bytes:
            return format_size(round(value))
        return f"{value / size:.4g}{unit} {self._noun}".strip()


def _round(low: float, high: float, measure: Measure) -> list[float]:
    """Ticks of a logarithmic axis: decades or 1, 2, 5 of them; of bytes powers of two."""
    if measure.metric.endswith("_bytes"):
        return _sizes(low, high) if high / low < 8 else _powers(low, high, 2.0)
    wide = math.log10(high / low)
    if wide > 2:
        return _powers(low, high, 10.0)
    first = 10.0 ** math.floor(math.log10(low))
    found = [first * step * ten for ten in (1, 10, 100) for step in (1, 2, 5)]
    found = [value for value in found if low <= value <= high]
    return found if len(found) > 2 else _even(low, high)


def _even(low: float, high: float) -> list[float]:
    ten = 10.0 ** math.floor(math.log10(high - low))
    step = next(ten * n for n in (0.2, 0.5, 1, 2) if (high - low) / (ten * n) <= 5)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _powers(low: float, high: float, base: float) -> list[float]:
    first, last = math.ceil(math.log(low, base)), math.floor(math.log(high, base))
    return [base**n for n in range(first, last + 1, 1 + (last - first) // 6)]


def _sizes(low: float, high: float) -> list[float]:
    """Ticks of a straight axis of bytes."""
    step = 2.0 ** math.ceil(math.log2((high - low) / 5))
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


ROW = 22
"""Pixels of a row: a bar, or the marks of a variant."""

NARROW = 340
"""Pixels that a phone has for a chart."""

DENSE = 60
"""Boots of a row up to which each dot says what it is: more would make the page heavy."""

_SHOWN = "indexof(hidden, datum.variant) < 0"
_SIZE = Measure("memory_bytes", "guest memory")
_INK = alt.Color("variant:N")
"""Its scale is that of the layer with the marks."""


Words = Sequence[str]


class _Canvas:
    """A chart that is being drawn: its tables, and layers over each other.

    Altair makes the layers. What is around them is put together here: Altair copies all that it
    has with each step, which took longer than everything else.
    """

    def __init__(self) -> None:
        self._tables: dict[str, list[dict[str, Any]]] = {}
        self._layers: list[Spec] = []

    def table(self, rows: pd.DataFrame) -> Any:
        """A layer of rows, without those of variants that the reader has hidden.

        Rows of one variant become one row of lists, which the chart takes apart: so each variant
        and each column is named once, and what is the same in all rows of a variant said once.
        """
        columns = {name: rows[name].tolist() for name in rows.columns}
        places: dict[str, list[int]] = {}
        for place, name in enumerate(columns.pop("variant")):
            places.setdefault(clean(name), []).append(place)
        lists = {
            key: {name: [column[n] for n in mine] for name, mine in places.items()}
            for key, column in columns.items()
        }
        flat = [k for k, mine in lists.items() if any(len(set(v)) > 1 for v in mine.values())]
        table = f"t{len(self._tables)}"
        self._tables[table] = [
            {"variant": name, **{k: v[name] if k in flat else v[name][0] for k, v in lists.items()}}
            for name in places
        ]
        steps: list[Any] = [alt.FilterTransform(filter=_SHOWN)]
        if flat:
            steps.append(alt.FlattenTransform(flatten=flat))
        return alt.Chart(alt.NamedData(name=table), transform=steps)

    def draw(self, layer: Any, **encoding: Any) -> None:
        self._layers.append(_as_json(layer.encode(**encoding)))

    def together(self) -> None:
        """What was drawn has its scales in common, apart from what is drawn from now on."""
        self._layers = [{"layer": self._layers}]

    def spec(
        self, height: Any, title: str = "", beside: float = 60, **apart: Sequence[str]
    ) -> Spec:
        """The whole. `title` stands for a vertical axis, `beside` is the room of its labels.

        `apart` says what each layer has of its own, such as ``axis=["y"]``.
        """
        resolve = {kind: dict.fromkeys(names, "independent") for kind, names in apart.items()}
        about = {"title": title} if title else {}
        whole = {"height": height, "width": WIDTH - beside, **about, "resolve": resolve}
        return finished({"$schema": alt.SCHEMA_URL, **whole, "layer": self._layers}, self._tables)


def _as_json(layer: Any) -> Spec:
    spec: Spec = layer.to_dict(validate=False)
    return {key: value for key, value in spec.items() if key not in ("$schema", "config")}


def _at(channel: Any, pixel: int) -> Any:
    return channel(pixel)


def _telling(layer: Any, expression: str, still: bool = True) -> Any:
    """What a pointer on a mark is told; `still`: in a still picture too."""
    told = layer.transform_calculate(said=expression).encode(tooltip=alt.Tooltip("said:N"))
    return told.encode(description=alt.Description("said:N")) if still else told


def _room(words: Words) -> float:
    """Pixels that the longest of some labels takes, about."""
    return 10 + 6.2 * max(map(len, words), default=0)


def _list(words: Words) -> str:
    """Text as a list in an expression, whatever is in the text."""
    return json.dumps([clean(word) for word in words])


def _names(who: Sequence[Who]) -> list[str]:
    return [clean(one.name) for one in who]


def _rows(words: Words, **more: Any) -> alt.Y:
    """A row for each number in the column ``row``, with the word of that number."""
    axis = alt.Axis(labelExpr=f"{_list(words)}[datum.value]", **more)
    return alt.Y("row:O", axis=axis, title=None)


def _beside(words: Words) -> alt.Y:
    """Words right of the rows: as labels of an axis they have all the room that they need."""
    return _rows(words, orient="right", labelColor="var(--soft)")


def _across(field: str, measure: Measure, largest: float | None, **more: Any) -> alt.X:
    """A horizontal axis with its unit; `largest` where it is straight."""
    about = more.pop("axis", {} if largest is None else {"tickCount": 5})
    axis = alt.Axis(labelExpr=measure.tick(largest), **about)
    return alt.X(f"{field}:Q", title=measure.title(largest), axis=axis, **more)


def _looks(who: Sequence[Who], legend: alt.Legend | None = None) -> dict[str, Any]:
    """Colour and form of each variant, by its name."""
    inks = alt.Scale(domain=_names(who), range=[one.mark.ink for one in who])
    forms = alt.Scale(domain=_names(who), range=[one.mark.path for one in who])
    return {
        "color": alt.Color("variant:N", scale=inks, legend=legend),
        "shape": alt.Shape("variant:N", scale=forms, legend=legend),
    }


def _legend(words: Words, **more: Any) -> alt.Legend:
    """Below the chart, in as many columns as have room on a phone."""
    room = 36 + 6 * max(map(len, words))
    return alt.Legend(columns=max(1, NARROW // room), **more)


def _parts(parts: Words) -> alt.Color:
    """The colours of what a boot is made of, ``--p0`` and on."""
    scale = alt.Scale(domain=list(parts), range=[f"var(--p{n})" for n in range(len(parts))])
    return alt.Color("part:N", scale=scale, legend=_legend(parts, symbolType="square"))


def _in(table: pd.DataFrame, who: Sequence[Who]) -> list[Who]:
    names = set(table["variant"])
    return [one for one in who if one.name in names]


def _numbered(table: pd.DataFrame, who: Sequence[Who]) -> pd.DataFrame:
    """With a row for each variant, in the order of `who`."""
    rows = {one.name: number for number, one in enumerate(_in(table, who))}
    return table.assign(row=table["variant"].map(rows)).sort_values("row", kind="stable")


@debug_mode(False)
def stacked(bars: pd.DataFrame, who: Sequence[Who], parts: Words, measure: Measure) -> Spec:
    """Horizontal bars of parts that add up, a row for each of `who`.

    `bars`: variant (its name for people), part (one of `parts`), amount (in the unit of the
    measure), share (of the whole boot).
    """
    who, bars = _in(bars, who), _numbered(bars, who)
    bars["end"] = bars.groupby("row")["amount"].cumsum()
    bars["start"] = bars["end"] - bars["amount"]
    totals = [float(total) for total in bars.groupby("row")["amount"].sum()]
    words = [measure.said(total) for total in totals]
    scale = alt.Scale(domain=[0, max(totals)], nice=False)
    said = f"datum.variant + ', ' + datum.part + ': ' + {measure.exact('datum.amount')}"
    said += " + ' (' + format(datum.share, '.0%') + ' of the boot)'"
    canvas = _Canvas()
    drawn = canvas.table(bars)
    canvas.draw(
        _telling(drawn.mark_bar(height=ROW - 8), said),
        x=_across("start", measure, max(totals), scale=scale),
        x2=alt.X2("end:Q"),
        y=_rows(_names(who)),
        color=_parts(parts),
    )
    rows = canvas.table(bars.drop_duplicates("row")[["variant", "row"]])
    canvas.draw(rows.mark_text(text="", aria=False), y=_beside(words))
    beside = _room(_names(who)) + _room(words)
    return canvas.spec({"step": ROW}, beside=beside, axis=["y"])


@debug_mode(False)
def against_memory(
    points: pd.DataFrame, lines: pd.DataFrame, who: Sequence[Who], measure: Measure
) -> Spec:
    """Log-log. Whiskers are the smallest and the largest, dashes are extrapolated.

    `points`: variant, kind, size (bytes of guest memory), median, low, high, more (what else there
    is to say). The kind is ``measured``, ``extrapolated`` (hollow), or ``failed``: tried, with no
    figure (a cross at the top). `lines`: variant, kind (``fit``, ``beyond``), size, value.
    """
    who = _in(points, who)
    sizes = sorted(set(points["size"].astype(int)))
    near, far = _ends(sizes)
    points, lines = (_aside(table, who, far / near) for table in (points, lines))
    known = points[points["kind"] != "failed"]
    values = [float(v) for v in (*known["low"], *known["high"], *lines["value"]) if v > 0]
    room = max((max(values) / min(values)) ** 0.05, 1.1)
    low, high = min(values) / room, max(values) * room
    if len(known) < len(points):
        high *= room  # for the crosses
    base = 2 if measure.metric.endswith("_bytes") else 10
    x = _across(
        "at",
        _SIZE,
        None,
        scale=alt.Scale(type="log", base=2, domain=[near, far], nice=False),
        axis={"values": sizes, "grid": False, "labelFontSize": 10, "labelSeparation": 3},
    )
    y = alt.Y(
        "median:Q",
        scale=alt.Scale(type="log", base=base, domain=[low, high], nice=False),
        axis=alt.Axis(labelExpr=measure.tick(), values=_round(low, high, measure)),
        title=None,
    )
    place = f"datum.variant + ', ' + {_SIZE.short('datum.size')} + ': '"
    canvas = _Canvas()
    dots = canvas.table(points)
    found = dots.transform_filter("datum.kind != 'failed'")
    if len(lines):
        drawn = canvas.table(lines)
        for kind, dashes in (("fit", [1, 0]), ("beyond", [4, 4])):
            mine = drawn.transform_filter(f"datum.kind == '{kind}'")
            drawn_line = mine.mark_line(strokeDash=dashes, clip=True, aria=False)
            canvas.draw(drawn_line, x=alt.X("at:Q"), y=alt.Y("value:Q"), color=_INK)
    straight = _list(sorted(set(lines["variant"])))
    loose = found.transform_filter(f"indexof({straight}, datum.variant) < 0")
    joined = loose.mark_line(strokeWidth=1, opacity=0.4, clip=True, aria=False)
    canvas.draw(joined, x=alt.X("at:Q"), y=alt.Y("median:Q"), color=_INK)
    spread = found.transform_filter("datum.high > datum.low")
    whiskers = spread.mark_rule(strokeWidth=1.4, clip=True, aria=False)
    canvas.draw(whiskers, x=alt.X("at:Q"), y=alt.Y("low:Q"), y2=alt.Y2("high:Q"), color=_INK)
    if len(known) < len(points):
        failed = dots.transform_filter("datum.kind == 'failed'")
        crosses = failed.mark_text(text="✕", baseline="top", clip=True)
        told = _telling(crosses, f"{place} + datum.more")
        canvas.draw(told, x=alt.X("at:Q"), y=_at(alt.YValue, 1), color=_INK)
    hollow: Any = {"test": "datum.kind == 'extrapolated'", "value": "var(--page)"}
    legend = _legend(_names(who))
    looks = _looks(who, legend)
    canvas.draw(
        _telling(
            found.mark_point(size=50, opacity=1, strokeWidth=1.4, clip=True),
            f"{place} + {measure.exact('datum.median')} + datum.more",
        ),
        x=x,
        y=y,
        fill=alt.Fill("variant:N", scale=looks["color"]["scale"], legend=legend, condition=hollow),
        **looks,
    )
    return _zoomed(canvas.spec(230, measure.title()))


def _ends(sizes: Sequence[int]) -> tuple[float, float]:
    """Of the axis: with room for the marks of the first size and of the last."""
    room = max((sizes[-1] / sizes[0]) ** 0.06, 1.02)
    return sizes[0] / room, sizes[-1] * room


def _aside(table: pd.DataFrame, who: Sequence[Who], span: float) -> pd.DataFrame:
    """Each variant has its own place beside a size, so that none hides another."""
    step = min(5.0, 26 / len(who)) * math.log(span) / (WIDTH - 60)
    aside = {one.name: math.exp(step * (n - (len(who) - 1) / 2)) for n, one in enumerate(who)}
    at = table["size"] * table["variant"].map(aside)
    return table.assign(at=[float(f"{place:.5g}") for place in at])


def _zoomed(spec: Spec) -> Spec:
    """With Shift held the wheel zooms; without, it scrolls the page as everywhere."""
    select = {"type": "interval", "zoom": "wheel![event.shiftKey]", "clear": "dblclick"}
    spec["layer"][0]["params"] = [{"name": "zoom", "select": select, "bind": "scales"}]
    return spec


@debug_mode(False)
def over_boot(
    samples: pd.DataFrame,
    phases: pd.DataFrame,
    who: Sequence[Who],
    parts: Words,
    clock: str,
) -> Spec:
    """Resident memory over the boot, and below it, on the same seconds, the phases.

    `samples`: variant, second (since the launch of QEMU), resident (bytes). `phases`: variant, part
    (one of `parts`), begin and end in the same seconds.
    """
    who = _in(samples, who)
    samples, phases = _numbered(samples, who), _numbered(phases, who)
    seconds = Measure("duration_s", clock)
    memory = Measure("rss_bytes", "resident memory of QEMU")
    last, most = float(samples["second"].max()), float(samples["resident"].max())
    top, foot = 190, 200 + 18 * len(who)
    across = _across("second", seconds, last, scale=alt.Scale(domain=[0, last], nice=False))
    across = across.title(f"{seconds.title(last)}, since QEMU was launched")
    up = alt.Y(
        "resident:Q",
        scale=alt.Scale(domain=[0, most * 1.04], range=[top, 0], nice=False),
        axis=alt.Axis(labelExpr=memory.tick(), values=_sizes(0, most)),
        title=None,
    )
    lanes = alt.Scale(range=[top + 10, foot], padding=0.2)
    lane = _rows(_names(who), orient="left", labelPadding=20).scale(lanes)
    # A mark now and then, so that lines are told apart without colour.
    count = samples.groupby("row")["second"].transform("size")
    number = samples.groupby("row").cumcount()
    some = samples[number % (count // 8).clip(lower=1) == samples["row"] % 8]
    said = f"datum.variant + ', ' + {seconds.exact('datum.second')} + ': '"
    said += f" + {memory.exact('datum.resident')}"
    took = (
        f"datum.variant + ', ' + datum.part + ': ' + {seconds.exact('(datum.end - datum.begin)')}"
    )
    took += f" + ', from ' + {seconds.exact('datum.begin')} + ' on'"
    canvas = _Canvas()
    lines = canvas.table(samples).mark_line(strokeWidth=1.6, aria=False)
    marks = _telling(canvas.table(some).mark_point(size=44, filled=True, opacity=1), said)
    canvas.draw(lines, x=alt.X("second:Q"), y=up, color=_INK)
    canvas.draw(marks, x=across, y=alt.Y("resident:Q"), **_looks(who))
    canvas.together()
    keys = canvas.table(samples.drop_duplicates("row")[["row", "variant"]])
    keys = keys.mark_point(size=44, filled=True, opacity=1, aria=False)
    canvas.draw(keys, x=_at(alt.XValue, -11), y=lane, **_looks(who))
    if len(phases):
        bars = _telling(canvas.table(phases).mark_bar(height=11), took)
        bare = _rows((), orient="left", labels=False).scale(lanes)
        canvas.draw(bars, x=alt.X("begin:Q"), x2=alt.X2("end:Q"), y=bare, color=_parts(parts))
    beside = 16 + _room(_names(who))
    return canvas.spec(foot, memory.title(), beside, scale=["y", "color"])


@debug_mode(False)
def every_boot(boots: pd.DataFrame, who: Sequence[Who], measure: Measure) -> Spec:
    """A dot for each boot; within a row the first block is at the top, so that a drift is a slope.

    `boots`, in the order of the blocks: variant, block, value (in the unit of the measure).
    """
    who, boots = _in(boots, who), _numbered(boots, who)
    groups = boots.groupby("row")
    count = groups["value"].transform("size")
    medians = boots.assign(value=groups["value"].transform("median")).drop_duplicates("row")
    low, high = float(boots["value"].min()), float(boots["value"].max())
    first, last = int(boots["block"].min()), int(boots["block"].max())
    room = max(0.15 * (last - first), 0.5)
    log = low > 0 and high / low > 20
    margin = (high - low) * 0.03 or abs(high) * 0.02 or 1.0
    ends = [low / 1.1, high * 1.1] if log else [low - margin, high + margin]
    ticks = {"values": _round(ends[0], ends[1], measure)} if log else {}
    x = _across(
        "value",
        measure,
        None if log else high,
        scale=alt.Scale(type="log" if log else "linear", domain=ends, nice=False),
        axis=ticks,
    )
    said = f"datum.variant + ', block ' + datum.block + ': ' + {measure.exact('datum.value')}"
    middle = f"datum.variant + ', median: ' + {measure.exact('datum.value')}"
    canvas = _Canvas()
    tick = canvas.table(medians[["variant", "row", "value"]])
    tick = _telling(tick.mark_tick(size=26, thickness=2, opacity=0.55), middle)
    canvas.draw(tick, x=x, y=_rows(_names(who)), color=_INK)
    dots = canvas.table(boots)
    if dense := int(count.max()) > DENSE:
        dots = dots.mark_circle(size=12, opacity=0.5, aria=False)
    else:
        dots = dots.mark_point(size=56, filled=True, opacity=1)
    looks = _looks(who)
    canvas.draw(
        _telling(dots, said, still=not dense),
        x=alt.X("value:Q"),
        y=alt.Y("row:O"),
        yOffset=alt.YOffset(
            "block:Q", scale=alt.Scale(domain=[first - room, last + room], nice=False)
        ),
        **({"color": looks["color"]} if dense else looks),
    )
    return canvas.spec({"step": 32}, beside=_room(_names(who)))


@debug_mode(False)
def changes(found: pd.DataFrame, who: Sequence[Who], baseline: str) -> Spec:
    """Ratios to the baseline on a logarithmic axis, a row for each; the thick line is no change.

    `found`, in the order of the rows: variant, of (what has changed), ratio, low and high (the ends
    of its interval, or none), word (the verdict), said (all of it).
    """
    who = _in(found, who)
    starts = found["of"].ne(found["of"].shift())
    found = found.assign(row=range(len(found))).assign(row=lambda t: t["row"] + starts.cumsum())
    heads = found[starts].assign(row=lambda t: t["row"] - 1)
    left, words = [""] * (len(found) + len(heads)), [""] * (len(found) + len(heads))
    for row, of in zip(heads["row"], heads["of"], strict=True):
        left[row] = of
    for row, name, word in zip(found["row"], found["variant"], found["word"], strict=True):
        left[row], words[row] = name, word
    ends = [float(v) for name in ("ratio", "low", "high") for v in found[name].dropna() if v > 0]
    domain = [min([*ends, 0.95]) / 1.05, max([*ends, 1.05]) * 1.05]
    gains = _gains(*domain)
    x = alt.X(
        "ratio:Q",
        scale=alt.Scale(type="log", domain=domain, nice=False),
        axis=alt.Axis(labelExpr="'x' + format(datum.value, '~g')", values=gains),
        title=f"ratio to {clean(baseline)}",
    )
    bold: Any = {"test": f"indexof({heads['row'].tolist()}, datum.value) >= 0", "value": "bold"}
    weight: Any = {"condition": bold, "value": "normal"}
    said = "datum.variant + ', ' + datum.of + ': x' + format(datum.ratio, '.4~g')"
    said += " + ', ' + datum.said"
    canvas = _Canvas()
    every = pd.DataFrame({"variant": "", "row": range(len(left)), "ratio": 1.0})
    frame = canvas.table(every[every["row"].isin(heads["row"])])
    same = frame.mark_rule(strokeWidth=2, color="var(--soft)", aria=False)
    canvas.draw(same, x=alt.XDatum(1))
    canvas.draw(frame.mark_text(text="", aria=False), y=_rows(left, labelFontWeight=weight))
    rows, row = canvas.table(found), alt.Y("row:O", axis=None)
    sure = rows.transform_filter("isValid(datum.low) && isValid(datum.high)")
    lines = sure.mark_rule(strokeWidth=1.6, aria=False)
    canvas.draw(lines, x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=row, color=_INK)
    canvas.draw(
        _telling(rows.mark_point(size=44, filled=True, opacity=1), said), x=x, y=row, **_looks(who)
    )
    canvas.draw(frame.mark_text(text="", aria=False), y=_beside(words))
    beside = _room(left) + _room(words)
    return canvas.spec({"step": 18}, beside=beside, axis=["y"])


def _gains(low: float, high: float) -> list[float]:
    """Round ratios between two, 1 among them, and no more than have room."""
    if high / low > 1e3:
        wanted = {100.0**n for n in range(-4, 5)}
    elif high / low > 8:
        wanted = {0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 10.0, 100.0, 1000.0}
    elif high / low > 1.6:
        wanted = {0.25, 0.5, 1.0, 2.0, 4.0}
    else:
        wanted = {0.8, 0.9, 1.0, 1.1, 1.25}
    return sorted(step for step in wanted if low <= step <= high)


@debug_mode(False)
def timeline(nights: pd.DataFrame, who: Sequence[Who], measure: Measure) -> Spec:
    """Night by night in per cent of the first night shown; a ring is a change that was called.

    `nights`, in their order: variant, night (its number), value (in the unit of the measure),
    called (whether a change was called for this night). Kernels lie factors of a thousand apart,
    hence per cent.
    """
    who = _in(nights, who)
    first = nights.groupby("variant")["value"].transform("first").replace(0, 1)
    nights = nights.assign(change=nights["value"] / first - 1)
    low, high = float(nights["change"].min()), float(nights["change"].max())
    margin = max(0.0005, 0.06 * (high - low))
    ends = [int(nights["night"].min()), int(nights["night"].max())]
    x = alt.X(
        "night:Q",
        scale=alt.Scale(domain=ends, nice=False, padding=8),
        axis=alt.Axis(tickMinStep=1, format="d", grid=False),
        title="night",
    )
    y = alt.Y(
        "change:Q",
        scale=alt.Scale(domain=[low - margin, high + margin], nice=False),
        axis=alt.Axis(labelExpr="format(datum.value, '+.3~p')"),
        title=None,
    )
    said = "datum.variant + ', night ' + datum.night + ': ' + format(datum.change, '+.3~p') + ', '"
    said += f" + {measure.exact('datum.value')} + (datum.called ? ', called' : '')"
    canvas = _Canvas()
    drawn = canvas.table(nights)
    lines = drawn.mark_line(strokeWidth=1.6, aria=False)
    canvas.draw(lines, x=alt.X("night:Q"), y=alt.Y("change:Q"), color=_INK)
    rings = drawn.transform_filter("datum.called").mark_point(size=220, filled=False, aria=False)
    canvas.draw(rings, x=alt.X("night:Q"), y=alt.Y("change:Q"), color=_INK)
    size = 44 if nights["night"].nunique() <= 40 else 14
    marks = _telling(drawn.mark_point(size=size, filled=True, opacity=1), said)
    canvas.draw(marks, x=x, y=y, **_looks(who, _legend(_names(who))))
    return canvas.spec(200, f"change since the first night shown; {measure.title()}")


@debug_mode(False)
def by_version(points: pd.DataFrame, who: Sequence[Who], measure: Measure) -> Spec:
    """From kernel to kernel, from 0 on. `points`, in their order: variant, base, value."""
    who = _in(points, who)
    bases = list(dict.fromkeys(points["base"].tolist()))
    most = float(points["value"].max())
    x = alt.X(
        "base:N",
        sort=bases,
        title="Linux",
        axis=alt.Axis(labelAngle=0, labelAlign="center", grid=False),
    )
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[0, most * 1.08], nice=False),
        axis=alt.Axis(tickCount=6),
        title=None,
    )
    said = f"datum.variant + ', ' + datum.base + ': ' + {measure.exact('datum.value')}"
    canvas = _Canvas()
    drawn = canvas.table(points)
    lines = drawn.mark_line(strokeWidth=1.6, aria=False)
    canvas.draw(lines, x=alt.X("base:N", sort=bases), y=alt.Y("value:Q"), color=_INK)
    marks = _telling(drawn.mark_point(size=70, filled=True, opacity=1), said)
    canvas.draw(marks, x=x, y=y, **_looks(who, _legend(_names(who))))
    return canvas.spec(220, measure.title())


@debug_mode(False)
def flame(calls: pd.DataFrame, measure: Measure) -> Spec:
    """Functions below those that called them, from the top on.

    `calls`: variant, function, depth, start and end (in the unit of the measure), tone (0 to 3).
    """
    total = float(calls["end"].max())
    calls = calls.assign(share=(calls["end"] - calls["start"]) / total)
    took = measure.exact("(datum.end - datum.start)")
    said = f"datum.function + ': ' + {took} + ' (' + format(datum.share, '.1%') + ')'"
    tones = [str(n) for n in range(4)]
    scale = alt.Scale(domain=tones, range=[f"var(--p{n})" for n in tones])
    canvas = _Canvas()
    drawn = canvas.table(calls)
    rows = alt.Y("depth:O", axis=None)
    canvas.draw(
        _telling(drawn.mark_rect(stroke="var(--page)", fillOpacity=0.55), said, still=False),
        x=_across("start", measure, total, scale=alt.Scale(domain=[0, total], nice=False)),
        x2=alt.X2("end:Q"),
        y=rows,
        color=alt.Color("tone:N", scale=scale, legend=None),
    )
    room = "datum.share * width / 7"
    named = drawn.transform_calculate(
        label=f"{room} < 4 ? '' : truncate(datum.function, floor({room}))"
    )
    text = named.mark_text(align="left", dx=3, fontSize=10, aria=False)
    canvas.draw(text, x=alt.X("start:Q"), y=rows, text=alt.Text("label:N"))
    return canvas.spec({"step": 16}, beside=10)
