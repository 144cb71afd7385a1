# SPDX-License-Identifier: GPL-2.0-only
"""What a run would do."""

import json

from harness.cli import main


def test_plan_touches_nothing(checkout, capfd):
    before = sorted(checkout.rglob("*"))
    assert main(["plan", "experiments/pair.yaml", "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert [c["variant"] for c in plan["cells"]] == ["one", "two"]
    assert plan["cost"]["boots"] == 6
    assert plan["cells"][0]["argv"][0] == "qemu-system-x86_64"
    assert sorted(checkout.rglob("*")) == before
