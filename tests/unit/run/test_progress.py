# SPDX-License-Identifier: GPL-2.0-only
"""How far an experiment is, from what is on disk."""

import time

from harness.results.folder import Results
from harness.run.progress import HEAD_BYTES, TAIL_BYTES, Observer


def test_a_console_that_is_flooded_is_not_read_whole(tmp_path):
    part = tmp_path / "runs/v/m/time/000.part"
    part.mkdir(parents=True)
    with (part / "console.log").open("wb") as file:
        file.write(b"[    0.1] Linux version 6\r\n")
        file.seek(1 << 34)  # a hole: 16 GiB that are not there
        file.write(b"\n[    9.0] smp: Brought up 4 nodes\r\n[    9.1] the end\r\n")
    start = time.monotonic()
    (boot,) = Observer(Results(tmp_path)).look(time.time()).running
    assert time.monotonic() - start < 5
    assert (boot.phase, boot.line) == ("page_alloc_init_late", "[    9.1] the end")
    assert HEAD_BYTES + TAIL_BYTES < 1 << 20
