# SPDX-License-Identifier: GPL-2.0-only
"""A performance artifact, by the schema of Treeherder."""

import json

import jsonschema

from harness.export.perfherder import export

BOUNDED = {"type": "number"} | {"minimum": -1e12, "maximum": 1e12}
UNIT = {"type": "string", "minLength": 1, "maxLength": 20}
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


def test_perfherder_takes_the_artifact(broken):
    found = json.loads(export(broken))
    jsonschema.validate(found, PERFHERDER)
    units = {s["unit"] for suite in found["suites"] for s in suite["subtests"]}
    assert units <= {"ms", "instructions", "bytes", "boots", "ns/page", "instructions/page"}
    failed = [s for suite in found["suites"] for s in suite["subtests"] if s["unit"] == "boots"]
    assert sum(subtest["value"] for subtest in failed) == 1


def test_what_is_beyond_the_schema_is_left_out_and_named(quick, caplog):
    large = quick.phases.assign(instructions=quick.phases["instructions"] * 1e6)
    found = type(quick).of(quick.tables() | {"phases": large}, quick.lock)
    artifact = json.loads(export(found))
    jsonschema.validate(artifact, PERFHERDER)
    assert "boot is beyond 1e12" in caplog.text
    work = [s for s in artifact["suites"] if s["extraOptions"] == ["work-clock"]]
    assert "boot" not in {subtest["name"] for suite in work for subtest in suite["subtests"]}
