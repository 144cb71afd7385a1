# SPDX-License-Identifier: GPL-2.0-only
"""OpenMetrics text 1.0: gauges in base units, a family for each thing measured.

https://github.com/prometheus/OpenMetrics. Names end in their unit; median, smallest and largest of
the blocks are families of their own, since a sum over them means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.dataset import Dataset
from harness.export.figures import Figure, boots, figures, in_seconds, memory
from harness.text import clean

STATISTICS = {"": "median", "_min": "smallest", "_max": "largest"}


@dataclass
class _Family:
    name: str
    about: str
    unit: str = ""
    kind: str = "gauge"
    samples: list[tuple[dict[str, str], str]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        yield f"# TYPE {self.name} {self.kind}"
        if self.unit:
            yield f"# UNIT {self.name} {self.unit}"
        yield f"# HELP {self.name} {self.about}"
        suffix = "_info" if self.kind == "info" else ""
        for labels, value in self.samples:
            told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            yield f"{self.name}{suffix}{{{told}}} {value}"


def export(dataset: Dataset) -> bytes:
    """The exposition, with `# EOF` at its end."""
    families = {family.name: family for family in (_dataset(dataset), _boots(dataset))}
    for figure in figures(dataset):
        noun, unit, about, scale = _told(figure)
        where = {"variant": figure.variant, "machine": figure.subject.machine}
        where["clock"] = figure.subject.clock
        if not memory(figure.subject.metric):
            where["phase"] = figure.name
        values = (figure.median, figure.low, figure.high)
        for (suffix, word), value in zip(STATISTICS.items(), values, strict=True):
            name = f"pageinit_{noun}{suffix}_{unit}"
            family = families.setdefault(name, _Family(name, f"{about}: {word}", unit))
            family.samples.append((where, repr(value * scale)))
    lines = [line for family in families.values() if family.samples for line in family.lines()]
    return ("\n".join([*lines, "# EOF"]) + "\n").encode()


def _dataset(dataset: Dataset) -> _Family:
    family = _Family("pageinit_dataset", "what was measured", kind="info")
    if dataset.lock:
        experiment = dataset.lock.experiment
        about = {"experiment": experiment.name, "lock": dataset.lock.hash}
        about |= {"baseline": experiment.baseline, "base": dataset.lock.base}
        family.samples.append((about, "1"))
    return family


def _boots(dataset: Dataset) -> _Family:
    family = _Family("pageinit_boots", "boots of a cell by how they ended; warm-ups left out")
    for cell in boots(dataset):
        where = {"variant": cell.variant, "machine": cell.machine, "clock": cell.clock}
        for outcome, count in cell.outcomes.items():
            family.samples.append((where | {"outcome": outcome}, str(count)))
    return family


def _told(figure: Figure) -> tuple[str, str, str, float]:
    """The noun of its family, the unit, what it is, and the factor to that unit."""
    metric = figure.subject.metric
    if memory(metric):
        return "host_rss_peak", "bytes", "largest resident size of QEMU", 1.0
    seconds = in_seconds(metric)
    noun = "page" if metric.endswith("_per_page") else "phase"
    what = "for a page, in a phase or pass" if noun == "page" else "of a phase or pass"
    if seconds is None:
        return noun, "instructions", f"guest instructions {what}, without waits", 1.0
    return noun, "seconds", f"emulated seconds {what}", seconds


def _escaped(text: str) -> str:
    return clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
