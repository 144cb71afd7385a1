# SPDX-License-Identifier: GPL-2.0-only
"""What stands behind the name of a variant: whether its numbers count."""

from __future__ import annotations

from harness.model import Lockfile
from harness.run import GateMark

MARKS: dict[GateMark, str] = {"green": "", "failed": " ✗", "none": " †"}
"""What stands behind the name of a variant wherever its numbers are shown."""

MEANING: dict[GateMark, str] = {
    "failed": "✗: this very kernel FAILED the correctness gate; its numbers are no result.",
    "none": "†: this very kernel has not been through the correctness gate; its numbers may be"
    " the gain of a lost page.",
}


def statuses(lock: Lockfile | None) -> dict[str, GateMark]:
    """Variant to standing, as its lock has it; "none" for what no gate had seen."""
    return {name: lock.gate.get(name, "none") for name in lock.variants} if lock else {}
