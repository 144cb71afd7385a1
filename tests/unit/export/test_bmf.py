# SPDX-License-Identifier: GPL-2.0-only
"""Bencher Metric Format, by the schema of who reads it."""

import json

import jsonschema
import pytest

from harness.export.bmf import LONGEST, export
from harness.export.figures import figures

NUMBER = {"type": "number"}
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


def test_bmf_is_what_bencher_takes(broken):
    found = json.loads(export(broken))
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


def test_a_name_is_no_longer_than_bencher_takes(quick):
    long = quick.runs.assign(variant=quick.runs["variant"] + "x" * LONGEST)
    tables = {name: table for name, table in quick.tables().items() if name != "runs"}
    phases = tables["phases"].assign(variant=tables["phases"]["variant"] + "x" * LONGEST)
    found = type(quick).of(quick.tables() | {"runs": long, "phases": phases}, quick.lock)
    assert max(map(len, json.loads(export(found)))) == LONGEST
