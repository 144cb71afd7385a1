# SPDX-License-Identifier: GPL-2.0-only
"""Dataset and report from records made here, hostile ones among them."""

from pathlib import Path

import pandas as pd
import pytest

from harness.dataset import dataset
from harness.dataset.summary import Summary
from harness.dataset.tables import to_csv
from harness.files import write_atomic
from harness.model.experiment import Experiment
from harness.model.lockfile import Lockfile
from harness.model.machine import Machine
from harness.model.run import Ending, Environment, HostSample, Judgement, Phase, Run
from harness.model.variant import Variant
from harness.report import render
from harness.results.folder import Results, StoredRun, to_json
from tests.page import Tags

EVIL = "</pre><script>alert(1)</script> | `x` \x1b[31m\u202e"
ENVIRONMENT = Environment(
    host="h",
    host_cpu="c",
    host_cpus=2,
    host_memory_bytes=1 << 34,
    host_kernel="6",
    qemu_version="7.2.22",
    accel="tcg",
    thp=False,
    harness_version="0",
)


def lock() -> Lockfile:
    def machine(name: str, memory: str) -> Machine:
        data = {"name": name, "description": "d", "nodes": [{"cpus": 0, "memory": memory}]}
        return Machine.parse(data, name)

    group = {
        "variants": ["eager", "grow"],
        "machines": ["m1", "m2"],
        "clocks": {"time": {"blocks": 3}, "work": {"blocks": 1}},
    }
    claim = {"metric": "memmap_init", "text": EVIL, "speedup": 29.5, "at": "16TiB"}
    variants = {
        name: Variant(name=name, description="d", prebuilt={"path": "x"}, claims=[claim])
        for name in ("eager", "grow")
    }
    return Lockfile(
        experiment=Experiment(name="x", description=EVIL, baseline="eager", matrix=[group]),
        base="6.12",
        variants=variants,
        machines={"m1": machine("m1", "1GiB"), "m2": machine("m2", "2GiB")},
        kernels={},
        initramfs_sha256="0",
        environment=ENVIRONMENT,
    )


PHASES = (("boot", None, 0), ("memmap_init", None, 1000), ("memmap_init", 0, 9))
SAMPLE = {"host_s": 1, "minor_faults": 1, "major_faults": 0, "user_s": 1, "system_s": 0}


def stored(cell, block, seconds, outcome="ok", reason="") -> StoredRun:
    variant, machine, clock = cell
    whole = seconds * (1e9 if clock == "work" else 1)
    phases = [
        Phase(name=name, node=node, source="mark", start=0, end=whole, busy=whole, pages=pages)
        for name, node, pages in (
            ("boot", None, 0),
            ("memmap_init", None, 1000),
            ("memmap_init", 0, 9),
        )
    ]
    touch = {"probe": "touch_total", "pass": 1, "kind": "first-touch", "threads": 2}
    run = Run(
        run_id=f"{variant}{machine}{clock}{block}",
        variant=variant,
        machine=machine,
        clock=clock,
        block=block,
        started_utc="2026-01-01T00:00:00Z",
        environment=ENVIRONMENT,
        ending=Ending(cause="done", wall_s=1),
        judgement=Judgement(outcome=outcome, reason=reason, excerpt=(EVIL,) if reason else ()),
        phases=phases,
        probes=(
            {"probe": "meminfo", "mem_total_bytes": 1 << 30, EVIL: EVIL},
            {**touch, "pages": 100, "tsc_span": 5000, "wall_ns": 2000, "faults_minor": 100},
        ),
        samples=(
            HostSample(
                host_s=1, rss_bytes=1 << 28, minor_faults=1, major_faults=0, user_s=1, system_s=0
            ),
        ),
    )
    return StoredRun(run, Path("results") / "runs" / variant / machine / clock / f"{block:03d}")


@pytest.fixture
def found():
    runs = []
    for machine, factor in (("m1", 1), ("m2", 2)):
        for block in range(3):
            runs.append(stored(("eager", machine, "time"), block, factor * (1 + block / 10)))
            runs.append(stored(("grow", machine, "time"), block, factor * (0.1 + block / 100)))
        runs.append(stored(("eager", machine, "work"), 0, factor))
    runs.append(stored(("grow", "m1", "work"), 0, 1, "panic", EVIL))
    return dataset.tabulate(runs, lock(), root=Path("results"))


def test_guest_text_never_becomes_markup(found, tmp_path):
    page, text = render.render(Results(tmp_path), found)
    tags = Tags.of(page)
    # The one script is ours: no other has the hash that the policy names.
    assert tags.names.count("script") == 1 and "iframe" not in tags.names
    assert tags.allowed == [tags.hash_of_script]
    assert page.count("<script") == 1 and "&lt;script&gt;" in page
    assert "\x1b" not in page + text and "\u202e" not in page + text
    assert "<script" not in text.replace("    </pre><script>", "")  # an indented block is verbatim


def test_the_report_is_one_file_with_figures(found, tmp_path):
    page, text = render.render(Results(tmp_path), found)
    assert page.count("<figure>") >= 8
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<link" not in page and "src=" not in page and "url(" not in page
    assert "default-src 'none'" in page
    assert "not of hardware" in page and "is not a time" in text


def test_the_same_dataset_gives_the_same_bytes(found, tmp_path):
    assert render.render(Results(tmp_path), found) == render.render(Results(tmp_path), found)


def test_headline_has_medians_ratios_and_failures(found):
    shown = render.headline(found)
    table = {
        (row[0].removesuffix(" †"), *row[1:3]): dict(zip(shown.head, row, strict=True))
        for row in shown.rows
    }
    assert table["eager", "m1", "time"]["boot"] == "1.10 s"
    assert table["grow", "m1", "time"]["boot"] == "110 ms"
    assert table["grow", "m1", "time"]["boot : baseline"] == "0.1"
    assert table["grow", "m1", "work"]["good boots"] == "0/1"
    assert table["eager", "m2", "work"]["memmap_init"] == "2 G"
    assert table["grow", "m1", "work"]["memmap_init"] == "-"


def test_clocks_stand_in_their_own_columns(found):
    phases = found.phases
    time, work = phases[phases.clock == "time"], phases[phases.clock == "work"]
    assert time.instructions.isna().all() and work.duration_s.isna().all()
    touch = found.probes[found.probes.probe == "touch_total"]
    assert touch[touch.clock == "time"].ns_per_page.dropna().unique().tolist() == [20.0]
    assert touch[touch.clock == "work"].instructions.dropna().unique().tolist() == [5000]


def test_a_phase_whose_calls_lie_far_apart_is_the_sum_of_its_calls():
    first = stored(("eager", "m1", "time"), 0, 1)
    pieces = Phase(name="hash_tables", source="mark", start=1, end=101, busy=7, calls=2, pages=1000)
    run = first.run.model_copy(update={"phases": (*first.run.phases, pieces)})
    found = dataset.tabulate([StoredRun(run, first.folder)], lock(), root=Path("results"))
    row = Summary.of(found.summary).phase(("eager", "m1", "time"), "hash_tables")
    assert row and row["median"] == 7
    per_page = found.phases.set_index("phase").loc["hash_tables", "ns_per_page"]
    assert per_page == 7e6


def test_a_failed_boot_does_not_enter_figures(found):
    cell = found.summary[(found.summary.variant == "grow") & (found.summary.clock == "work")]
    assert cell.kind.tolist() == ["boots"]
    assert (cell.failed.item(), cell.n.item()) == (1, 0)


def test_order_of_runs_does_not_matter():
    runs = [stored(("eager", "m1", "time"), block, 1 + block) for block in range(3)]
    one, two = (dataset.tabulate(r, lock()) for r in (runs, runs[::-1]))
    for name in ("runs", "phases", "probes", "summary"):
        assert to_csv(getattr(one, name)) == to_csv(getattr(two, name))


def test_csv_reads_back_with_its_types(found, tmp_path):
    dataset.write(found, tmp_path)
    for name, table in dataset.load_tables(tmp_path).items():
        pd.testing.assert_frame_equal(table, found.tables()[name], check_exact=True)


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (None, "duration_s", "-"),
        (0.0000123, "duration_s", "12.3 µs"),
        (0.0123, "duration_s", "12.3 ms"),
        (12.345, "duration_s", "12.35 s"),
        (1234.5, "duration_s", "1234 s"),
        (455_300_000, "instructions", "455.3 M"),
        (27.15, "instructions_per_page", "27.15"),
        (1 << 30, "host_rss_peak_bytes", "1GiB"),
    ],
)
def test_amounts_have_units(value, metric, text):
    from harness.units import amount

    assert amount(value, metric) == text


def test_a_folder_read_in_parts_gives_the_same_tables(tmp_path, monkeypatch):
    # As folders the warm-up comes last and block 1000 before block 101; as rows they do not.
    for block in (-1, 2, 101, 1000):
        item = stored(("eager", "m1", "time"), block, 1 + abs(block), "panic", EVIL)
        run = item.run.model_copy(update={"warmup": block < 0})
        folder = tmp_path / "runs/eager/m1/time" / ("warmup" if block < 0 else f"{block:03d}")
        folder.mkdir(parents=True)
        write_atomic(folder / "run.json", to_json(run))
    whole = dataset.collate(Results(tmp_path))
    assert list(whole.runs["block"]) == [-1, 2, 101, 1000]
    monkeypatch.setattr(dataset, "BATCH", 1)
    parts = dataset.collate(Results(tmp_path))
    for name, table in whole.tables().items():
        assert to_csv(parts.tables()[name]) == to_csv(table)
    assert parts.excerpts == whole.excerpts


def test_a_dataset_keeps_the_hash_that_it_was_recorded_with():
    text = lock().to_yaml()
    assert Lockfile.from_yaml(text, "x").hash == lock().hash
    older = text.replace(lock().hash, "0123456789ab")
    assert Lockfile.from_yaml(older, "x").hash == "0123456789ab"
