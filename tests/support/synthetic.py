# SPDX-License-Identifier: GPL-2.0-only
"""Datasets made from numbers: known effects, known noise, in the real columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.dataset import dataset
from harness.dataset.columns import TABLES
from harness.dataset.dataset import Dataset
from harness.dataset.rows import Row
from harness.dataset.tables import frame
from harness.units import GIB

MACHINES = {"small": 4 * GIB, "middle": 16 * GIB, "large": 64 * GIB}


@dataclass(frozen=True)
class Recipe:
    """What every boot takes: a phase's base seconds, times the factor of the variant, with noise.

    `noise` and `blocks_noise` are standard deviations of logarithms, of a boot and of its block.
    `failed` names boots (variant, block) that end in a panic. `changes` go into rows of runs.csv.
    """

    factors: Mapping[str, float]
    blocks: int = 8
    machines: Sequence[str] = ("small",)
    clock: str = "time"
    phases: Mapping[str, float] = field(default_factory=lambda: {"boot": 2.0, "memmap_init": 0.5})
    noise: float = 0.0
    blocks_noise: float = 0.0
    seed: int = 1
    failed: frozenset[tuple[str, int]] = frozenset()
    rss: Mapping[str, float] = field(default_factory=dict)
    changes: Mapping[tuple[str, int], Row] = field(default_factory=dict)


def make(recipe: Recipe) -> Dataset:
    """A dataset without a lock: name the baseline."""
    draw = np.random.default_rng(recipe.seed)
    runs: list[Row] = []
    phases: list[Row] = []
    for machine in recipe.machines:
        for block in range(recipe.blocks):
            common = np.exp(draw.normal(0, recipe.blocks_noise))
            for order, variant in enumerate(recipe.factors):
                scale = common * np.exp(draw.normal(0, recipe.noise)) * recipe.factors[variant]
                run = _run(recipe, machine, variant, block, order)
                runs.append(run)
                if run["outcome"] == "ok":
                    phases += _phases(recipe, run, float(scale))
    tables = {name: frame((), TABLES[name]) for name in TABLES}
    tables |= {"runs": frame(runs, TABLES["runs"]), "phases": frame(phases, TABLES["phases"])}
    return Dataset.of(tables)


def write(made: Dataset, folder: Path) -> Path:
    """As a results folder without raw evidence."""
    (folder / "runs").mkdir(parents=True)
    dataset.write(made, folder)
    return folder


def _run(recipe: Recipe, machine: str, variant: str, block: int, order: int) -> Row:
    minute = block * len(recipe.factors) + order
    place = list(MACHINES).index(machine)
    run: Row = {
        "run_id": f"{variant}-{machine}-{block}",
        "variant": variant,
        "machine": machine,
        "clock": recipe.clock,
        "block": block,
        "warmup": False,
        "outcome": "panic" if (variant, block) in recipe.failed else "ok",
        "order": order,
        "attempt": 1,
        "started_utc": f"2026-01-{1 + place:02d}T{minute // 60:02d}:{minute % 60:02d}:00Z",
        "memory_bytes": MACHINES[machine],
        "host_rss_peak_bytes": int(recipe.rss.get(variant, 1.0) * GIB),
        **{"host": "h", "host_cpu": "c", "host_cpus": 2, "load_1min": 0.1, "host_thp": False},
        **{"wall_s": 3.0, "host_user_s": 4.0, "host_system_s": 1.0},
        **{"host_others_s": 0.4, "host_steal_s": 0.01},
        **{"qemu_version": "7.2.0", "accel": "tcg", "host_kernel": "k", "base_version": "6.12"},
    }
    return run | recipe.changes.get((variant, block), {})


def _phases(recipe: Recipe, run: Row, scale: float) -> list[Row]:
    keys = ("run_id", "variant", "machine", "clock", "block", "warmup", "outcome")
    about: dict[str, Any] = {key: run[key] for key in keys}
    grown = run["memory_bytes"] / MACHINES["small"]
    rows = []
    for name, base in recipe.phases.items():
        row = about | {"phase": name, "source": "mark", "start_s": 0.0}
        if recipe.clock == "time":
            row |= {"duration_s": base * scale * grown, "busy_s": base * scale * grown}
        else:
            count = round(base * scale * grown)
            row |= {"instructions": count, "busy_instructions": count, "idle": 0}
        rows.append(row)
    return rows
