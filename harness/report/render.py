# SPDX-License-Identifier: GPL-2.0-only
"""The dataset as a page for people: HTML and Markdown from the same sections.

Text of the guest is escaped by both templates. The page loads nothing, and its policy lets no
script run but the one that is in it, by hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

from harness import __version__
from harness.compare import series_of, stopping
from harness.dataset import Dataset, Summary, collate, write
from harness.files import write_atomic
from harness.parse import evidence
from harness.report import charts, sections
from harness.report.context import Stage
from harness.report.document import Section, Table
from harness.report.figures import distributions, growths, host_memory, stacks
from harness.report.locality import locality_sections
from harness.report.pages import asset, page
from harness.report.sections import gate_sections, limit_sections, reproduction
from harness.report.text import looked
from harness.report.verdicts import compared, growth_tables, verdicts
from harness.results import Results

COLOURS = 9
"""Colours of the style sheet; the next variant begins anew, with another form of its marks."""


def publish(results: Results) -> Dataset:
    """Writes every CSV and both reports of a results folder from its raw evidence.

    Holds the folder's lock meanwhile; raises `ResultsError` where somebody else does.
    """
    with results.locked():
        found = collate(results, evidence.reread)
        write(found, results.path)
        page, text = render(results, found)
        write_atomic(results.path / "report.html", page)
        write_atomic(results.path / "report.md", text)
    return found


def render(results: Results, dataset: Dataset) -> tuple[str, str]:
    """The report as HTML, complete in one file, and as Markdown without the figures."""
    lock = dataset.lock
    title = lock.experiment.name if lock else results.path.name
    stage = Stage.of(dataset)
    script = asset("report.js")
    context: dict[str, Any] = {
        "title": f"pageinit: {title}",
        "description": lock.experiment.description if lock else "",
        "hash": lock.hash if lock else "",
        "version": __version__,
        "sections": [s for s in _sections(stage, results) if not s.empty],
        "legend": [(who.name, who.place, charts.key(who.place)) for who in stage.who.values()],
        "colours": COLOURS,
        "owners": _owners(stage),
        "style": asset("report.css"),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return page("report.html.j2", **context), page("report.md.j2", **context)


def _sections(stage: Stage, results: Results) -> Iterator[Section]:
    dataset, figures = stage.dataset, stage.figures
    found = compared(dataset)
    yield sections.headline(dataset, figures)
    yield verdicts(stage, found, looked(*stopping.read(results.path)))
    yield sections.claimed(dataset, figures)
    yield from gate_sections(dataset)
    yield from limit_sections(dataset)
    yield stacks(stage)
    grown, lines = tuple(growths(stage, found)), tuple(growth_tables(stage, found))
    yield Section("Against memory", _LINES if grown else (), lines, grown)
    yield host_memory(stage, results)
    yield distributions(stage, series_of(dataset))
    yield from sections.phases(dataset, figures)
    yield sections.memory(dataset, figures)
    yield sections.touch(dataset, figures)
    yield from locality_sections(dataset)
    yield sections.outcomes(dataset, results.path)
    yield sections.environment(dataset)
    yield reproduction(stage, results)


_LINES = (
    "Medians, whiskers from the smallest to the largest boot. A line is drawn where one misses no"
    " size by more than 10 %: a model, through the sizes that were measured; dashed with a hollow"
    " mark is EXTRAPOLATED, where nothing was measured. Faint lines only join marks. Variants of"
    " one size stand side by side.",
)


def _owners(stage: Stage) -> dict[str, str]:
    """The class of what belongs to a variant, by its name and by its label."""
    return {key: who.owner for name, who in stage.who.items() for key in (name, who.name)}


def headline(dataset: Dataset) -> Table:
    """The few figures that matter most."""
    return sections.headline_table(dataset, Summary.of(dataset.summary))


def caveats(dataset: Dataset) -> list[str]:
    """What the marks behind names of the headline mean."""
    return Summary.of(dataset.summary).caveats()
