# SPDX-License-Identifier: GPL-2.0-only
"""Counted stores: the options of the plugin, what it writes, and boots that are counted."""

import csv
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.boot.boot import boot
from harness.cli import main
from harness.dataset.dataset import load_tables
from harness.model.experiment import Experiment
from harness.model.machine import Machine
from harness.model.run import Ending, Phase, StoreCount
from harness.parse import evidence, stores
from harness.parse.phases import MARKS
from harness.qemu import plugin
from harness.results.folder import Results
from tests.support.boots import PATIENT, request
from tests.support.checkout import ROOT
from tests.support.records import a_run
from tests.support.store import keep, lay_sources

SERIES = ROOT / "kernel-patches" / "boot-marks"
SYSTEM_MAP = """\
ffffffff81000430 T calibrate_delay
ffffffff81000b30 T boot_mark_end
ffffffff81000bd0 T boot_marks_print
ffffffff81000cd0 T warn_thunk_thunk
ffffffff8197dcb0 T deferred_grow_zone
ffffffff81a100a0 b boot_marks
ffffffff81a1f280 B unconstrained
"""
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
G = 1 << 30


def machine(*sizes: str, **more: object) -> Machine:
    nodes = [{"cpus": n, "memory": size} for n, size in enumerate(sizes)]
    return Machine.parse({"name": "m", "description": "m", "nodes": nodes, **more}, "m")


def read(text: str, phases: tuple[Phase, ...] = PHASES):
    return stores.read(text.encode(), phases)


def test_the_marks_are_those_of_the_series():
    text = "".join(path.read_text() for path in SERIES.glob("0001*"))
    enum = re.search(r"enum boot_phase \{(.*?)NR_BOOT_PHASES", text, re.S)[1]
    assert tuple(n.lower() for n in re.findall(r"BOOT_PHASE_(\w+),", enum)) == MARKS


def test_ram_that_does_not_fit_below_the_hole_lies_above_4_gib():
    four = machine("4GiB", "4GiB", "4GiB", "4GiB")
    assert plugin.ranges(four) == [
        (0, 3 * G, 0),
        (4 * G, 5 * G, 0),
        (5 * G, 9 * G, 1),
        (9 * G, 13 * G, 2),
        (13 * G, 17 * G, 3),
    ]
    assert plugin.ranges(machine("1GiB", "2GiB")) == [(0, G, 0), (G, 3 * G, 1)]
    assert plugin.ranges(machine("2GiB", "0", "2GiB")) == [
        (0, 2 * G, 0),
        (2 * G, 3 * G, 2),
        (4 * G, 5 * G, 2),
    ]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "qemu-configs").glob("*.yaml")), ids=lambda p: p.stem
)
def test_no_ram_is_lost_between_ranges(path):
    found = Machine.load(path)
    sizes = [0] * len(found.nodes)
    last = 0
    for start, end, node in plugin.ranges(found):
        assert last <= start < end and not 3 * G < end - 1 < 4 * G
        sizes[node] += end - start
        last = end
    assert sizes == [node.memory for node in found.nodes]


def test_the_options_say_where_everything_is():
    words = plugin.option(Path("/a,b/stores.so"), machine("4GiB", "4GiB"), SYSTEM_MAP, "out.txt")
    assert words == (
        "/a,,b/stores.so,out=out.txt,ram=0-c0000000-0,ram=100000000-140000000-0,"
        "ram=140000000-240000000-1,cpu=0,cpu=1,marks=ffffffff81a100a0-c-81,"
        "code=ffffffff81000b30-ffffffff81000cd0,ignore=7,enter=ffffffff8197dcb0"
    )


def test_what_cannot_be_counted_is_told():
    four = machine("4GiB", "4GiB")
    assert plugin.obstacle(four, SYSTEM_MAP) is None
    assert "no boot marks" in plugin.obstacle(four, SYSTEM_MAP.replace("boot_marks_print", "x"))
    assert "not on q35" in plugin.obstacle(machine("4GiB", machine="q35"), SYSTEM_MAP)
    assert "up to 8 nodes" in plugin.obstacle(machine(*["1GiB"] * 9), SYSTEM_MAP)
    assert "1000GiB" in plugin.obstacle(machine("1TiB"), SYSTEM_MAP)


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
    run = a_run(argv=("qemu-system-x86_64", "-plugin", "x"), ending=Ending(cause="done"))
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


def test_stores_are_counted_on_the_work_clock_only():
    group = {"variants": ["a"], "machines": ["m"], "count_stores": True}
    for clocks in ({"time": {}}, {"time": {}, "work": {}}):
        with pytest.raises(ValueError, match="count_stores: "):
            Experiment(name="x", description="", baseline="a", matrix=[{**group, "clocks": clocks}])
    found = Experiment(
        name="x", description="", baseline="a", matrix=[{**group, "clocks": {"work": {}}}]
    )
    assert found.counted and found.counts_stores("a", "m", "work")
    assert not found.counts_stores("b", "m", "work")


@pytest.mark.parametrize(
    ("part", "system_map", "why"),
    [("no-plugins", SYSTEM_MAP, "without plugins"), ("ok", "", "no boot marks")],
)
def test_what_cannot_count_is_a_boot_refused(monkeypatch, tmp_path, part, system_map, why):
    monkeypatch.setenv("PATH", f"{ROOT / 'tests/fakes'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_QEMU", part)
    asked = request(tmp_path, PATIENT)
    asked.system_map.write_text(system_map)
    found = boot(replace(asked, plugin=tmp_path / "stores.so", clock="work"), tmp_path)
    assert found.ending.cause == "start-refused" and why in found.ending.detail
    assert "-plugin" not in found.argv or part == "no-plugins"


def test_the_plugin_compiles_once_and_is_one(tmp_path):
    first = plugin.build(tmp_path)
    stamp = first.path.stat().st_mtime_ns
    assert plugin.build(tmp_path) == first and first.path.stat().st_mtime_ns == stamp
    said = subprocess.run(["nm", "-D", first.path], capture_output=True, text=True, check=True)
    defined = {line.split()[-1] for line in said.stdout.splitlines() if " U " not in line}
    assert {"qemu_plugin_install", "qemu_plugin_version"} <= defined


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
