# SPDX-License-Identifier: GPL-2.0-only
"""The dataset as a page for people: HTML and Markdown from the same sections.

Text of the guest is escaped by both templates. The page loads nothing, and its policy lets no
script run but the one that is in it, by hash.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from harness import __version__
from harness.compare import Comparison, conclusions, lead, series_of, stopping
from harness.dataset import Dataset, Summary, collate, write
from harness.errors import ResultsError
from harness.files import write_atomic
from harness.parse import evidence
from harness.report import sections, vega
from harness.report.context import Context
from harness.report.document import Figure, Section, Table
from harness.report.figures import (
    distributions,
    first_machine,
    first_picture,
    growths,
    host_memory,
    stacks,
)
from harness.report.functions import function_section
from harness.report.locality import locality_sections
from harness.report.pages import asset, page, script_hash
from harness.report.sections import gate_sections, limit_sections, reproduction
from harness.report.text import looked
from harness.report.verdicts import compared, growth_tables, verdicts
from harness.results import Results

LONG, MANY = 15, 8
"""Rows of the first table, and figures of a section, above which others than the first fold."""

PAGE, TEXT, PICTURES = "report.html", "report.md", "figures"


def publish(results: Results) -> Dataset:
    """Writes every CSV, both reports and their pictures from the raw evidence of a results folder.

    What cannot be read is in `damage` of what is answered. Holds the folder's lock meanwhile;
    raises `ResultsError` where somebody else does, and where nobody can say what runs there are.
    """
    with results.locked():
        for damage in results.listing()[1]:
            if damage.path == results.path / "runs":
                raise ResultsError(damage.reason, where=str(damage.path))
        found = collate(results, evidence.reread)
        write(found, results.path)
        drawn = files(results, found)
        for name, text in drawn.items():
            write_atomic(results.path / name, text)
        for old in (results.path / PICTURES).glob("*.svg"):
            if f"{PICTURES}/{old.name}" not in drawn:
                old.unlink()
    return found


def render(results: Results, dataset: Dataset) -> tuple[str, str]:
    """The report as HTML, complete in one file, and as Markdown, whose figures are `files`."""
    found = files(results, dataset)
    return found[PAGE], found[TEXT]


def files(results: Results, dataset: Dataset) -> dict[str, str]:
    """The report by names of files: the page, the text, and the pictures that the text shows."""
    lock = dataset.lock
    title = lock.experiment.name if lock else results.path.name
    context = Context.of(dataset)
    numbers = itertools.count()
    with vega.Painter() as painter:
        said = [
            (section, [_Picture(f, next(numbers), painter) for f in section.figures])
            for section in _sections(context, results)
            if not section.empty
        ]
    drawn = [picture for _, pictures in said for picture in pictures]
    scripts = [vega.library()] if drawn else []
    scripts.append(asset("report.js"))
    words: dict[str, Any] = {
        "title": f"pageinit: {title}",
        "description": lock.experiment.description if lock else "",
        "hash": lock.hash if lock else "",
        "version": __version__,
        "sections": said,
        "variants": list(context.who.values()),
        "owners": _owners(context),
        "style": asset("colours.css") + asset("report.css"),
        "charts": vega.script_data(
            {
                "config": vega.CONFIG,
                "width": vega.WIDTH,
                "specs": [picture.figure.spec for picture in drawn],
            }
        ),
        "scripts": scripts,
        "hashes": [script_hash(script) for script in scripts],
    }
    return {
        PAGE: page("report.html.j2", **words),
        TEXT: page("report.md.j2", **words),
        **{one.file: standalone(one.still) for one in drawn if not one.figure.folded},
    }


class _Picture:
    """A figure with its number on the page, and its still picture, which is drawn meanwhile."""

    def __init__(self, figure: Figure, number: int, painter: vega.Painter) -> None:
        self.figure = figure
        self.number = number
        self._still = painter.draw(figure.spec, figure.caption)

    @property
    def still(self) -> Markup:
        return self._still.result()

    @property
    def file(self) -> str:
        """The name of its file, below the results folder."""
        words = re.sub("[^a-z0-9]+", "-", self.figure.caption.partition(":")[0].lower())
        return f"{PICTURES}/{self.number:03d}-{words.strip('-')[:48]}.svg"


def standalone(still: str) -> str:
    """A still picture as a file of its own, in the colours of the page."""
    return vega.standalone(still, asset("colours.css"))


def _sections(context: Context, results: Results) -> Iterator[Section]:
    dataset, figures = context.dataset, context.figures
    found = compared(dataset)
    boots = stacks(context)
    picture = first_picture(context, boots)
    yield _found(context, found, picture)
    yield sections.caveats(dataset, figures)
    yield verdicts(context, found, looked(*stopping.read(results.path)))
    yield sections.claimed(dataset, figures)
    yield from gate_sections(dataset)
    yield from limit_sections(dataset)
    others = tuple(each for each in boots.figures if each not in picture)
    yield replace(boots, figures=others, folded=len(others) > MANY)
    yield function_section(context, results)
    grown, lines = tuple(growths(context, found)), tuple(growth_tables(context, found))
    yield Section("Against memory", _LINES if grown else (), lines, grown)
    yield host_memory(context, results)
    yield replace(distributions(context, series_of(dataset)), folded=True)
    yield from sections.phases(dataset, figures)
    yield sections.memory(dataset, figures)
    yield sections.touch(dataset, figures)
    yield from locality_sections(dataset)
    yield sections.outcomes(dataset, results.path)
    yield sections.environment(dataset)
    yield reproduction(context, results)


def _found(context: Context, found: Comparison | None, picture: Sequence[Figure]) -> Section:
    """The first screen: a few sentences, a picture, and the table behind both."""
    first = lead(found) if found else []
    rest = tuple(each for each in (conclusions(found) if found else ()) if each not in first)
    tables = [sections.headline_table(context.dataset, context.figures)]
    if len(tables[0].rows) > LONG:
        machine = first_machine(context)
        short = tables[0].where("machine", lambda name: name == machine)
        tables = [short, replace(tables[0], title="The same of all machines", folded=True)]
    return Section(
        "What was found", tuple(first), tuple(tables), tuple(picture), more=rest, leads=True
    )


_LINES = (
    "Medians, whiskers from the smallest to the largest boot. A line is drawn where one misses no"
    " size by more than 10 %: a model, through the sizes that were measured; dashed with a hollow"
    " mark is EXTRAPOLATED, where nothing was measured. Faint lines only join marks. Variants of"
    " one size stand side by side; a cross at the top is a boot that went wrong.",
)


def _owners(context: Context) -> dict[str, str]:
    """The class of what belongs to a variant, by its name and by its label."""
    return {key: who.owner for name, who in context.who.items() for key in (name, who.name)}


def headline(dataset: Dataset) -> Table:
    """The few figures that matter most."""
    return sections.headline_table(dataset, Summary.of(dataset.summary))


def concluded(dataset: Dataset) -> list[str]:
    """What the comparison with the baseline found beyond doubt, in sentences."""
    found = compared(dataset)
    return conclusions(found) if found else []


def caveats(dataset: Dataset) -> list[str]:
    """What the marks behind names of the headline mean."""
    return Summary.of(dataset.summary).caveats()
