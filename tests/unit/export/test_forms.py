# SPDX-License-Identifier: GPL-2.0-only
"""Each form is read back by what reads it elsewhere."""

import io
import json
import math

import jsonschema
import kcidb_io
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.cli import main
from harness.dataset import dataset as datasets
from harness.export import FORMS, export
from harness.export.figures import boots, figures
from tests.support.checkout import ROOT

QUICK = ROOT / "results/reference/quick"
NUMBER = {"type": "number"}
BOUNDED = NUMBER | {"minimum": -1e12, "maximum": 1e12}
UNIT = {"type": "string", "minLength": 1, "maxLength": 20}
BMF = {
    "type": "object",
    "patternProperties": {
        "^.{1,1024}$": {
            "patternProperties": {
                "^[a-z0-9-]{1,64}$": {
                    "properties": {"value": NUMBER, "lower_value": NUMBER, "upper_value": NUMBER},
                    "required": ["value"],
                    "additionalProperties": False,
                }
            },
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}
"""https://bencher.dev/bmf.json, and the lengths that its reference says beside."""
PERFHERDER = {
    "required": ["framework", "suites"],
    "properties": {
        "framework": {"type": "object", "properties": {"name": {"type": "string"}}},
        "suites": {
            "type": "array",
            "items": {
                "required": ["name", "subtests"],
                "properties": {
                    "name": {"type": "string"},
                    "value": BOUNDED,
                    "unit": UNIT,
                    "lowerIsBetter": {"type": "boolean"},
                    "extraOptions": {
                        "type": "array",
                        "items": {"type": "string", "maxLength": 100},
                        "uniqueItems": True,
                        "maxItems": 8,
                    },
                    "subtests": {
                        "type": "array",
                        "items": {
                            "required": ["name", "value"],
                            "properties": {
                                "name": {"type": "string"},
                                "value": BOUNDED,
                                "unit": UNIT,
                                "lowerIsBetter": {"type": "boolean"},
                            },
                        },
                    },
                },
            },
        },
    },
}
"""What https://github.com/mozilla/treeherder/blob/master/schemas/performance-artifact.json asks."""


@pytest.fixture(scope="module")
def quick():
    return datasets.load(QUICK)


@pytest.fixture(scope="module")
def broken(quick):
    """The same where the last boot of eager panicked, in words of a hostile guest."""
    runs = quick.runs.copy()
    at = runs.index[(runs["variant"] == "eager") & (runs["clock"] == "time")][-1]
    runs.loc[at, ["outcome", "reason"]] = ["panic", 'evil "\\ \x00\x1b[2J\n# EOF']
    tables = {
        name: table[table["run_id"] != runs.loc[at, "run_id"]]
        for name, table in quick.tables().items()
        if name in ("phases", "probes", "stores")
    }
    return datasets.Dataset.of(quick.tables() | tables | {"runs": runs}, quick.lock)


def test_all_forms_are_made_anew_with_the_same_bytes(quick):
    for form in FORMS:
        if form != "parquet":
            assert export(quick, form) == export(quick, form)


def test_bmf_is_what_bencher_takes(broken):
    found = json.loads(export(broken, "bmf"))
    jsonschema.validate(found, BMF)
    one = found["memmap_init/eager/quad-16g"]
    assert set(one) == {"latency", "instructions"}
    (figure,) = [
        f
        for f in figures(broken)
        if (f.variant, f.subject.machine, f.subject.clock, f.name)
        == ("eager", "quad-16g", "time", "memmap_init")
    ]
    assert one["latency"]["value"] == pytest.approx(figure.median * 1e9)
    assert one["latency"]["lower_value"] <= one["latency"]["value"] <= one["latency"]["upper_value"]
    failed = [m.get("failed-boots-time", {}).get("value", 0) for m in found.values()]
    assert sum(failed) == 1


def test_perfherder_takes_the_artifact(broken):
    found = json.loads(export(broken, "perfherder"))
    jsonschema.validate(found, PERFHERDER)
    units = {s["unit"] for suite in found["suites"] for s in suite["subtests"]}
    assert units <= {"ms", "instructions", "bytes", "boots", "ns/page", "instructions/page"}
    failed = [s for suite in found["suites"] for s in suite["subtests"] if s["unit"] == "boots"]
    assert sum(subtest["value"] for subtest in failed) == 1


def test_kcidb_validates_the_report_and_a_panic_has_failed(broken):
    found = json.loads(export(broken, "kcidb"))
    assert kcidb_io.schema.LATEST.validate(found) == found
    assert kcidb_io.schema.LATEST.is_compatible_exactly(found)
    ids = [entry["id"] for part in ("checkouts", "builds", "tests") for entry in found[part]]
    assert len({entry["id"] for entry in found["tests"]}) == len(found["tests"])
    builds = {entry["id"] for entry in found["builds"]}
    assert {test["build_id"] for test in found["tests"]} <= builds <= set(ids)
    tests = [test for test in found["tests"] if test["path"] == "boot"]
    assert sorted({test["status"] for test in tests}) == ["FAIL", "PASS"]
    (panic,) = [test for test in tests if test["status"] == "FAIL"]
    assert panic["misc"]["outcome"] == "panic"
    assert not [t for t in found["tests"] if t["id"].startswith(f"{panic['id']}:")]
    (init, *_) = [t for t in found["tests"] if t["path"] == "pageinit.memmap_init"]
    assert init["status"] == "DONE"
    assert init["number"]["unit"] in ("s", "instructions")


def test_prometheus_reads_openmetrics(broken):
    text = export(broken, "openmetrics").decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["pageinit_phase_seconds"].unit == "seconds"
    assert families["pageinit_host_rss_peak_bytes"].unit == "bytes"
    samples = {
        (s.labels["variant"], s.labels["machine"], s.labels["clock"], s.labels["phase"]): s.value
        for s in families["pageinit_phase_instructions"].samples
    }
    for figure in figures(broken):
        if figure.subject.metric == "instructions":
            key = (figure.variant, figure.subject.machine, figure.subject.clock, figure.name)
            assert samples[key] == figure.median
    counted = {}
    for sample in families["pageinit_boots"].samples:
        counted[sample.labels["outcome"]] = counted.get(sample.labels["outcome"], 0) + sample.value
    assert counted["panic"] == 1
    assert sum(counted.values()) == sum(cell.count for cell in boots(broken))


def test_parquet_has_a_row_for_each_figure_of_each_boot(broken):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(export(broken, "parquet")))
    assert table.schema.metadata[b"lock"].decode() == broken.lock.hash
    assert all(field.metadata[b"description"] for field in table.schema)
    found = table.to_pandas()
    good = found[found["kind"] == "boots"]
    assert len(good) == sum(cell.count for cell in boots(broken))
    assert (good["value"] == 0).sum() == 1
    assert set(found[found["outcome"] == "panic"]["kind"]) == {"boots"}
    init = found[(found["name"] == "memmap_init") & (found["metric"] == "duration_s")]
    assert set(init["unit"]) == {"s"}
    assert all(map(math.isfinite, init["value"]))


def test_the_command_writes_a_file_or_standard_output(tmp_path, capfdbinary):
    file = tmp_path / "bmf.json"
    assert main(["export", str(QUICK), "--format", "bmf", "-o", str(file)]) == 0
    assert main(["export", str(QUICK), "--format", "bmf"]) == 0
    assert capfdbinary.readouterr().out == file.read_bytes()
    assert main(["export", str(tmp_path), "--format", "bmf"]) == 2
