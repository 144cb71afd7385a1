# SPDX-License-Identifier: GPL-2.0-only
"""Counted stores: what the plugin writes, and boots that are counted."""

import csv
import re
from pathlib import Path

import pytest

from harness.cli import main
from harness.dataset.dataset import load_tables
from harness.model.run import Ending, Phase, StoreCount
from harness.parse import evidence, stores
from harness.parse.phases import MARKS
from harness.results.folder import Results
from tests.support.boots import SYSTEM_MAP
from tests.support.checkout import ROOT
from tests.support.records import a_run
from tests.support.store import keep, lay_sources

PHASES = (
    Phase(name="boot", source="mark", start=0, end=9, calls=1),
    Phase(name="memmap_init", node=0, source="mark", start=1, end=2, calls=3),
)
GOOD = """stores-by-phase 1
stores -1 -1 1 -1 0 5 40
mark 0 -1 1
mark 3 0 3
stores 3 0 0 1 1 9437184 67108864
end
"""


def read(text: str, phases: tuple[Phase, ...] = PHASES):
    return stores.read(text.encode(), phases)


def test_counts_are_read():
    assert read(GOOD) == (
        (
            StoreCount(phase="user_space", cpu_node=1, page_node=0, stores=5, bytes=40),
            StoreCount(
                phase="memmap_init",
                node=0,
                cpu_node=0,
                memory_node=1,
                page_node=1,
                stores=9437184,
                bytes=67108864,
            ),
        ),
        None,
    )


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("end\n", "", "not all of them"),
        ("end\n", "end\nend\n", "cannot read 'end'"),
        ("by-phase 1", "by-phase 2", "no counts"),
        ("5 40", "5 -40", "cannot read 'stores -1"),
        ("stores 3 0 0 1 1", "stores 3 0 -1 1 1", "cannot read"),
        ("9437184", "9" * 16, "cannot read"),
        ("9437184", "\N{ARABIC-INDIC DIGIT FIVE}", "cannot read"),
        ("mark 3 0 3", "mark 3 0 4", "not those printed: .*memmap_init"),
        ("mark 0 -1 1\n", "", "not those printed: .*boot"),
        ("mark 3 0 3", "mark 99 0 3", "not those printed: .*phase_99"),
    ],
)
def test_damaged_counts_are_none_at_all(old, new, fault):
    found, why = read(GOOD.replace(old, new))
    assert found == () and re.search(fault, why)


def test_a_boot_that_printed_no_marks_keeps_its_counts():
    found, fault = read(GOOD, ())
    assert len(found) == 2 and not fault


def counted(tmp_path: Path, text: str | None):
    console = (ROOT / "tests/golden/console/grow-1t.log").read_bytes()
    (tmp_path / "console.log").write_bytes(console)
    (tmp_path / "probes.jsonl").write_text('{"probe":"done"}\n')
    if text is not None:
        (tmp_path / "stores.txt").write_text(text)
    run = a_run(
        argv=("qemu-system-x86_64", "-plugin", "x,out=stores.txt"), ending=Ending(cause="done")
    )
    return evidence.complete(run, tmp_path)


def marks_of_the_console(tmp_path: Path) -> str:
    phases = counted(tmp_path, None).phases
    return "".join(
        f"mark {MARKS.index(p.name)} {-1 if p.node is None else p.node} {p.calls}\n"
        for p in phases
        if p.source == "mark"
    )


def test_a_counted_boot_is_not_good_without_its_counts(tmp_path):
    marks = marks_of_the_console(tmp_path)
    text = f"stores-by-phase 1\n{marks}stores 3 0 0 0 0 8 64\nend\n"
    run = counted(tmp_path, text)
    assert run.judgement.outcome == "ok" and run.stores[0].bytes == 64
    for damaged in (None, text[:-4], text.replace("mark 3 0", "mark 3 7")):
        (tmp_path / "stores.txt").unlink(missing_ok=True)
        run = counted(tmp_path, damaged)
        assert run.judgement.outcome == "incomplete" and run.stores == ()
        assert run.judgement.reason.startswith("stores.txt: ")


def test_an_experiment_counts_and_collates(checkout, monkeypatch, capfd):
    project = lay_sources(checkout, ("one", "two"))
    for name in ("one", "two"):
        keep(project, project.variant(name), SYSTEM_MAP)
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("{time: {blocks: 2, warmup: 1}}", "{work: {}}\n    count_stores: true")
    (checkout / "experiments/counted.yaml").write_text(text)
    marks = marks_of_the_console(checkout)
    monkeypatch.setenv("FAKE_STORES", f"stores-by-phase 1\n{marks}stores 3 1 0 1 1 9 64\nend\n")
    assert main(["run", "experiments/counted.yaml"]) == 0, capfd.readouterr().err
    (folder,) = (checkout / "results/counted").iterdir()
    (run, _), _ = Results(folder).read()
    assert "-plugin" in run.run.argv and (run.folder / "stores.txt").is_file()
    found = load_tables(folder)["stores"]
    assert list(found["variant"]) == ["one", "two"]
    assert (found["cpu_node"] != found["memory_node"]).all() and (found["bytes"] == 64).all()
    before = (folder / "stores.csv").read_bytes()
    assert len(list(csv.DictReader(before.decode().splitlines()))) == 2
    (run.folder / "stores.txt").write_text("stores-by-phase 1\n")
    assert main(["collate", str(folder)]) == 0
    assert list(load_tables(folder)["stores"]["variant"]) == ["two"]
    assert list(load_tables(folder)["runs"]["outcome"]) == ["incomplete", "ok"]
