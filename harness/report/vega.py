# SPDX-License-Identifier: GPL-2.0-only
"""Charts of Vega-Lite as still pictures and as data for a page. Nothing is fetched from anywhere.

A specification is what Altair makes. `svg` draws it once and for all by vl-convert; a page that has
`library` in a script of its own draws the same specification live.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from subprocess import PIPE
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from harness.errors import HostError
from harness.files import write_atomic
from harness.project import cache_folder
from harness.report.pages import asset
from harness.text import clean

Spec = dict[str, Any]
"""A specification of Vega-Lite: what JSON can say, and nothing else."""

VERSION = "6.4"
"""Of Vega-Lite, with the version of Vega that vl-convert has for it."""

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""vl-convert brings the first of these and measures with it; the others are as wide."""

WIDTH = 440
"""Pixels that a still picture is wide; a live one is as wide as its place."""

CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--ink)",
        "labelFontSize": 11,
        "labelLimit": 0,
        "titleColor": "var(--soft)",
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titleLimit": 0,
        "titlePadding": 6,
        "gridColor": "var(--grid)",
        "domainColor": "var(--soft)",
        "tickColor": "var(--soft)",
        "labelOverlap": "greedy",
        "labelSeparation": 8,
    },
    "axisY": {"ticks": False, "domain": False, "labelPadding": 6, "labelSeparation": 2},
    "legend": {
        "orient": "bottom",
        "direction": "horizontal",
        "title": None,
        "labelColor": "var(--ink)",
        "labelFontSize": 11,
        "labelLimit": 0,
        "columnPadding": 14,
        "symbolSize": 60,
        "symbolOpacity": 1,
    },
    "title": {
        "anchor": "start",
        "frame": "bounds",
        "color": "var(--soft)",
        "fontSize": 11,
        "fontWeight": "normal",
        "limit": 0,
        "offset": 6,
    },
}
"""How all charts look. Colours are those of the page, so one picture does for light and dark."""


def finished(chart: Spec, tables: dict[str, list[dict[str, Any]]]) -> Spec:
    """A chart with the tables that it names, and no control character in it.

    What is in the parameter ``hidden`` are the names that a reader does not want to see.
    """
    hidden = {"name": "hidden", "value": []}
    found: Spec = _harmless(chart | {"params": [hidden], "datasets": tables})
    return found


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _harmless(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    if isinstance(value, float):
        # JSON knows neither infinity nor what is not a number; nobody knows picoseconds.
        value = None if not math.isfinite(value) else round(value, 9)
        return int(value) if value is not None and value.is_integer() else value
    return value


_PAINT = """
import json, signal, sys, vl_convert
signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for the parent, which ends its painter
for line in sys.stdin:
    try:
        answer = [vl_convert.vegalite_to_svg(line, vl_version=sys.argv[1]), ""]
    except Exception as error:
        answer = ["", str(error)]
    print(json.dumps(answer), flush=True)
"""


class Painter:
    """Draws still pictures in a process of its own, while the rest of a report is put together.

    A context manager. What is drawn may come from foreign datasets, so that the engine that runs it
    is apart from the harness.
    """

    def __enter__(self) -> Painter:
        argv = [sys.executable, "-c", _PAINT, VERSION]
        self._process = subprocess.Popen(argv, stdin=PIPE, stdout=PIPE, text=True, encoding="utf-8")
        self._queue = ThreadPoolExecutor(1)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._queue.shutdown(cancel_futures=kind is not None)
        self._process.kill()
        self._process.communicate()

    def draw(self, spec: Spec, label: str, titles: bool = False) -> Future[Markup]:
        """The picture to come; `label` says what it shows.

        The same specification gives the same bytes. With `titles` each mark says what it is to a
        pointer that rests on it, as a live chart does.
        """
        return self._queue.submit(self._draw, spec, label, titles)

    def _draw(self, spec: Spec, label: str, titles: bool) -> Markup:
        asked, said = self._process.stdin, self._process.stdout
        assert asked is not None and said is not None
        try:
            asked.write(json.dumps(spec | {"config": CONFIG}) + "\n")
            asked.flush()
            drawn, error = json.loads(said.readline())
        except (OSError, ValueError):
            remedy = "install what pyproject.toml lists; make room in memory"
            raise HostError("vl-convert ended while it drew a chart", remedy=remedy) from None
        if error:
            raise HostError(f"vl-convert cannot draw a chart: {error[:500]}", where=label)
        return Markup(_Tidy(titles)(drawn, label))


def library() -> Markup:
    """Vega, Vega-Lite, Vega-Embed and its interpreter of expressions, as vl-convert brings them.

    Putting them together takes seconds, so that it is kept in the cache folder. Who passes a page
    on passes Vega on; its licence, and those in it, want their notices there.
    """
    import vl_convert

    name = f"vega-{version('vl-convert-python')}-{VERSION}.js"
    kept = cache_folder(os.environ) / "charts" / name
    if not kept.is_file():
        text = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VERSION)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, text)
    return asset("licences.js") + Markup(kept.read_text(encoding="utf-8"))


_ENDS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def script_data(value: Any) -> Markup:
    """JSON that can stand in a script element: no text in it can end or change the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(re.sub("[<>&\u2028\u2029]", lambda found: _ENDS[found[0]], text))


_SPACE = "http://www.w3.org/2000/svg"
_NOISE = {
    *("role", "aria-roledescription", "aria-hidden", "pointer-events", "display", "clip-path"),
}
_USUAL = {
    "opacity": "1",
    "stroke-opacity": "1",
    "fill-opacity": "1",
    "font-weight": "normal",
    "font-family": FONT,
    "font-size": "11px",
    "transform": "translate(0,0)",
}
_INHERITED = ("fill", "stroke", "stroke-width", "stroke-dasharray", "text-anchor", "font-size")
_LONG = re.compile(r"-?\d+\.\d{2,}(?:e-?\d+)?|-?\d+e-\d+")
MANY = 200
"""Dots of one look above which they become one path: each by itself would make a page heavy."""


@dataclass(frozen=True)
class _Tidy:
    """A third of what Vega writes: without what is not seen, what is usual, and long decimals."""

    titles: bool

    def __call__(self, drawn: str, label: str) -> str:
        root = ElementTree.fromstring(drawn.replace(f' xmlns="{_SPACE}"', "", 1))
        self._clear(root)
        view = root.get("viewBox", "")
        root.attrib.clear()
        root.attrib |= {"viewBox": view, "role": "img", "aria-label": clean(label)}
        root.attrib |= {"font-family": FONT, "font-size": "11"}
        return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)

    def _clear(self, node: ElementTree.Element) -> None:
        children = list(node)
        for child in children:
            self._clear(child)
        node[:] = [seen for child in children for seen in _seen(child)]
        said = node.attrib.pop("aria-label", None)
        for key, value in list(node.attrib.items()):
            if key in _NOISE or _USUAL.get(key) == value:
                del node.attrib[key]
            else:
                node.set(key, _LONG.sub(lambda found: f"{float(found[0]):.1f}", value))
        if said and self.titles and node.tag == "path":
            ElementTree.SubElement(node, "title").text = said
        if node.tag == "g":
            _gather(node)
            _hoist(node)


def _seen(node: ElementTree.Element) -> list[ElementTree.Element]:
    """The element, or nothing where it is not seen, or its children where it says nothing.

    Only who zooms sees that marks are clipped, and a page must not have one name twice.
    """
    if node.get("opacity") == "0" or node.get("class") in ("background", "foreground"):
        return []
    if node.tag in ("defs", "clipPath") or (node.tag == "text" and not node.text):
        return []
    return list(node) if node.tag == "g" and not node.attrib else [node]


def _gather(node: ElementTree.Element) -> None:
    """Many dots of the same look become one path of lines without length."""
    if "mark-symbol" not in node.get("class", "") or len(node) <= MANY:
        return
    looks: dict[tuple[str, str], list[str]] = {}
    for dot in node:
        x, y = map(float, dot.get("transform", "translate(0,0)")[10:-1].split(","))
        places = looks.setdefault((dot.get("fill", ""), dot.get("opacity", "")), [])
        places.append(f"M{x:.0f} {y:.1f}h0")
    node[:] = [
        # Two dots on one pixel are one dot to who looks.
        ElementTree.Element(
            "path",
            {"d": "".join(dict.fromkeys(places)), "stroke": fill, "opacity": opacity},
            **{"stroke-width": "3.4", "stroke-linecap": "round"},
        )
        for (fill, opacity), places in looks.items()
    ]


def _hoist(node: ElementTree.Element) -> None:
    """What all children of a group have in common is said once."""
    for name in _INHERITED:
        values = {child.get(name) for child in node}
        if len(node) > 1 and len(values) == 1 and None not in values and name not in node.attrib:
            node.set(name, str(values.pop()))
            for child in node:
                del child.attrib[name]


def standalone(picture: str, style: str) -> str:
    """A picture of its own for a file: with its colours, of a dark page too."""
    head, _, rest = str(picture).partition(">")
    head = head.replace("<svg", f'<svg xmlns="{_SPACE}"', 1)
    sheet = f'<style>{style}</style><rect width="100%" height="100%" fill="var(--page)"/>'
    return f"{head}>{sheet}{rest}\n"
