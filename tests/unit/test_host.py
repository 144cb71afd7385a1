# SPDX-License-Identifier: GPL-2.0-only
"""Who else had the host's CPUs, and what does not fit in its memory."""

import subprocess
import sys

import pytest

from harness import host
from harness.host import CpuTime, neighbours
from harness.model.run import HostSample
from harness.qemu.footprint import Footprint
from harness.units import GIB

BURN = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"


def sample(user_s: float) -> HostSample:
    return HostSample(
        host_s=1.0, rss_bytes=1, minor_faults=0, major_faults=0, user_s=user_s, system_s=0.1
    )


def test_the_line_of_all_cpus_is_read():
    text = "cpu  100 20 30 4000 50 6 7 800 90 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    assert CpuTime.parse(text) == CpuTime(busy_s=pytest.approx(1.63), steal_s=8.0)


@pytest.mark.parametrize("text", ["", "cpu", "cpu  1 2 3", "cpu  1 2 3 4 5 6 7 x", "intr 1 2"])
def test_another_form_is_untold(text):
    assert CpuTime.parse(text) is None
    assert neighbours(CpuTime.parse(text), [sample(1.0)]) is None


def test_what_another_process_took_is_seen_and_our_own_is_not():
    before = CpuTime.now()
    assert before is not None
    subprocess.run([sys.executable, "-c", BURN], check=True)
    seen = neighbours(before, [sample(0.0)])
    assert seen is not None and seen.others_s >= 0.4
    less = neighbours(before, [sample(seen.others_s + 1e6)])
    assert less is not None and less.others_s == 0.0


def test_what_cannot_fit_is_refused_with_numbers():
    text = host.refusal(Footprint(GIB, GIB, 4 * GIB, 0, 0), 2 * GIB)
    assert "needs about 6GiB" in text and "memmap 4GiB" in text and "2GiB are available" in text
    assert host.refusal(Footprint(GIB, 0, 0, 0, 0), 2 * GIB) is None


@pytest.mark.parametrize(
    ("text", "bits"), [("address sizes\t: 39 bits physical, 48 bits virtual\n", 39), ("", None)]
)
def test_how_far_the_cpu_addresses_is_its_own_word(monkeypatch, text, bits):
    monkeypatch.setattr(host, "_read", lambda path: "processor\t: 0\n" + text)
    assert host.address_bits() == bits
