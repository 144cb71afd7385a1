# SPDX-License-Identifier: GPL-2.0-only
"""What a page costs on each base, from numbers that are known."""

import pandas as pd

from harness.dataset.columns import TABLES
from harness.dataset.dataset import Dataset
from harness.dataset.tables import frame
from harness.report.versions import PageCost, page_costs, versions_picture, versions_table
from harness.units import GIB

SIZES = {"quad-16g": 16 * GIB, "quad-64g": 64 * GIB}
COSTS = {
    ("mainline-eager@6.1", "profile"): (30, 15, 0),
    ("mainline-deferred@6.1", "profile"): (1, 2, 40),
    ("mainline-eager@6.12", "profile"): (27, 14, 0),
    ("mainline-deferred@6.12", "profile"): (0, 1, 28),
    ("eager@6.12", "mark"): (27, 14, 1),
}
PHASES = ("memmap_init", "memblock_free_all", "page_alloc_init_late")


def made() -> Dataset:
    runs, phases = [], []
    for (variant, source), costs in COSTS.items():
        for machine, memory in SIZES.items():
            about = {"run_id": f"{variant}{machine}", "variant": variant, "machine": machine}
            about |= {"clock": "work", "warmup": False, "outcome": "ok"}
            built = {"base_version": variant.partition("@")[2], "qemu_version": "7.2.22"}
            built |= {"memory_bytes": memory, "toolchain": "gcc 12; ld 2"}
            for block in (0, 1):
                runs.append(about | built | {"block": block})
                for phase, cost in zip(PHASES, costs, strict=True):
                    count = 1_000_000 + cost * memory // 4096 + 4 * block
                    told = {"phase": phase, "source": source, "instructions": count}
                    phases.append(about | told | {"block": block})
    tables = {name: frame((), TABLES[name]) for name in TABLES}
    tables |= {"runs": frame(runs, TABLES["runs"]), "phases": frame(phases, TABLES["phases"])}
    return Dataset.of(tables)


def test_a_page_costs_what_more_pages_take_more() -> None:
    found = list(page_costs(made()))
    assert PageCost("6.1", "mainline-eager", "profile", "memmap_init", 30.0) in found
    assert PageCost("6.1", "mainline-deferred", "profile", "all three", 43.0) in found
    assert PageCost("6.12", "eager", "mark", "all three", 42.0) in found


def test_versions_follow_each_other_and_say_by_what() -> None:
    table = versions_table(made())
    assert [list(row[:3]) for row in table.rows] == [
        ["6.1", "mainline-eager", "profile"],
        ["6.12", "mainline-eager", "profile"],
        ["6.1", "mainline-deferred", "profile"],
        ["6.12", "mainline-deferred", "profile"],
        ["6.12", "eager", "mark"],
    ]
    assert table.rows[2][3:] == ["1.00", "2.00", "40.00", "43.00"]
    assert table.notes == (
        "Linux 6.1, 6.12; gcc 12; QEMU 7.2.22; 2 boots each, a phase at most 4 instructions apart",
    )


def test_the_picture_has_the_profile_alone() -> None:
    spec = versions_picture(made())
    (rows,) = spec["datasets"].values()
    shown = pd.DataFrame(rows).set_index("variant")["value"].to_dict()
    assert shown == {
        "eager: memmap_init": [30.0, 27.0],
        "eager: memblock_free_all": [15.0, 14.0],
        "deferred: all three": [43.0, 29.0],
    }
