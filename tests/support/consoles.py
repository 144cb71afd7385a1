# SPDX-License-Identifier: GPL-2.0-only
"""Recorded consoles, and marks of a boot as a kernel of ours prints them."""

from tests.support.checkout import ROOT

RECORDED = sorted((ROOT / "tests/golden/console").glob("*.log"))
MARK = b"[    1.1] boot-marks: phase=%s node=%d start=%d end=%d busy=%d calls=%d pages=%d\r\n"
MARKED = (
    b"[    1.0] x\r\n"
    b"[    1.100000] boot-marks: begin version=1 tsc_khz=2000 now=9 marks=2 lost=0\r\n"
    + MARK % (b"boot", -1, 1000, 5000, 4000, 1, 0)
    + MARK % (b"deferred_init", 3, 3000, 4000, 500, 2, 7)
    + b"[    1.100000] boot-marks: end\r\n"
)
