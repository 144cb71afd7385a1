# SPDX-License-Identifier: GPL-2.0-only
"""What a boot of the fake QEMU is asked for, and how patient it is."""

from pathlib import Path

from harness.boot.request import BootRequest
from harness.model.experiment import Timeouts
from harness.model.machine import Machine
from tests.support.checkout import ROOT

LIMITS = Timeouts(silence_s=0.5, progress_s=0.6, grace_s=0.1)
PATIENT = Timeouts(silence_s=5, progress_s=5, grace_s=0.1)
SYSTEM_MAP = """\
ffffffff81000430 T calibrate_delay
ffffffff81000b30 T boot_mark_end
ffffffff81000bd0 T boot_marks_print
ffffffff81000cd0 T warn_thunk_thunk
ffffffff8197dcb0 T deferred_grow_zone
ffffffff81a100a0 b boot_marks
ffffffff81a1f280 B unconstrained
"""


def request(folder: Path, limits: Timeouts, deadline_s: float = 5) -> BootRequest:
    machine = Machine.load(ROOT / "qemu-configs/tiny-2g.yaml")
    machine = machine.model_copy(update={"deadline_s": deadline_s})
    system_map = folder / "System.map"
    system_map.write_text(
        "ffffffff81000000 T _text\nffffffff81000000 t early_idle\nffffffff82000000 D data\n"
    )
    return BootRequest(
        folder / "bzImage", folder / "rd", machine, "tcg", limits=limits, system_map=system_map
    )
