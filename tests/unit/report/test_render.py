# SPDX-License-Identifier: GPL-2.0-only
"""Dataset and report from records made here, hostile ones among them."""

from pathlib import Path

import pandas as pd
import pytest

from harness.dataset import dataset
from harness.dataset.summary import Summary
from harness.dataset.tables import to_csv
from harness.files import write_atomic
from harness.model.lockfile import Lockfile
from harness.model.run import Phase
from harness.report import render
from harness.results.folder import Results, StoredRun, to_json
from tests.support.page import Tags
from tests.support.records import EVIL, lock, stored


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


def test_a_folder_read_in_parts_gives_the_same_tables(tmp_path):
    # As folders the warm-up comes last and block 1000 before block 101; as rows they do not.
    for block in (-1, 2, 101, 1000):
        item = stored(("eager", "m1", "time"), block, 1 + abs(block), "panic", EVIL)
        run = item.run.model_copy(update={"warmup": block < 0})
        folder = tmp_path / "runs/eager/m1/time" / ("warmup" if block < 0 else f"{block:03d}")
        folder.mkdir(parents=True)
        write_atomic(folder / "run.json", to_json(run))
    whole = dataset.collate(Results(tmp_path))
    assert list(whole.runs["block"]) == [-1, 2, 101, 1000]
    parts = dataset.collate(Results(tmp_path), batch=1)
    for name, table in whole.tables().items():
        assert to_csv(parts.tables()[name]) == to_csv(table)
    assert parts.excerpts == whole.excerpts


def test_a_dataset_keeps_the_hash_that_it_was_recorded_with():
    text = lock().to_yaml()
    assert Lockfile.from_yaml(text, "x").hash == lock().hash
    older = text.replace(lock().hash, "0123456789ab")
    assert Lockfile.from_yaml(older, "x").hash == "0123456789ab"
