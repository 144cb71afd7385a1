# SPDX-License-Identifier: GPL-2.0-only
"""The dataset as a page for people: HTML and Markdown from the same sections.

Figures come from the summary alone. Text of the guest is escaped by both templates.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness import __version__
from harness.dataset import Dataset
from harness.figures import Figures
from harness.locality import locality_sections
from harness.proof import gate_sections, limit_sections
from harness.results import Results
from harness.rows import clean
from harness.sections import Rows, Section, headline_table, sections_of
from harness.tested import verdict_sections


def render(results: Results, dataset: Dataset) -> tuple[str, str]:
    """The report as HTML, complete in one file, and as Markdown without the figures."""
    lock = dataset.lock
    title = lock.experiment.name if lock else results.path.name
    context = {
        "title": f"pageinit: {title}",
        "description": lock.experiment.description if lock else "",
        "hash": lock.hash if lock else "",
        "version": __version__,
        "sections": [s for s in _sections(dataset) if s.tables or s.notes or s.figures],
    }
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    options: dict[str, Any] = {"loader": loader, "trim_blocks": True, "lstrip_blocks": True}
    options["finalize"] = _printable
    html = jinja2.Environment(autoescape=True, **options)
    plain = jinja2.Environment(autoescape=False, **options)
    plain.filters["md"] = markdown
    page = html.get_template("report.html.j2").render(context)
    return page, plain.get_template("report.md.j2").render(context)


def _sections(dataset: Dataset) -> Iterator[Section]:
    yield from gate_sections(dataset)
    yield from limit_sections(dataset)
    yield from verdict_sections(dataset)
    yield from sections_of(dataset)
    yield from locality_sections(dataset)


def _printable(value: Any) -> Any:
    """The last look at all that is printed: no character that drives a terminal or a line."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else clean(value)


def headline(dataset: Dataset) -> Rows:
    """The few figures that matter most, as rows of text under a head."""
    table = headline_table(dataset, Figures.of(dataset.summary))
    return [table.head, *table.rows]


def caveats(dataset: Dataset) -> list[str]:
    """What the marks behind names of the headline mean."""
    return Figures.of(dataset.summary).caveats()


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    for old, new in (("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(old, new)
    return "".join(f"\\{c}" if c in "`*_[]#" else c for c in text)
