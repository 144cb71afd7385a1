# SPDX-License-Identifier: GPL-2.0-only
"""Boots with a QEMU that plays a part: every ending, and no process left behind by any."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.boot import boot as boots
from harness.boot.boot import boot
from harness.model.experiment import Timeouts
from harness.model.run import STOOD_STILL, HostSample, Judgement
from harness.parse import dmesg
from harness.parse.evidence import complete, index
from tests.support.boots import LIMITS, PATIENT, SYSTEM_MAP, request
from tests.support.checkout import PATH, ROOT
from tests.support.records import a_run


@pytest.fixture
def play(monkeypatch, tmp_path):
    """Boots with a fake in the part asked for; answers the evidence and the folder."""
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setenv("FAKE_CONSOLE", str(ROOT / "tests/golden/console/grow-1t.log"))

    def run(part: str, limits: Timeouts = LIMITS, deadline_s: float = 5, **more):
        monkeypatch.setenv("FAKE_QEMU", part)
        return boot(request(tmp_path, limits, deadline_s), tmp_path, **more), tmp_path

    yield run
    assert not fakes_alive(tmp_path)


def fakes_alive(folder: Path) -> list[str]:
    """Command lines of fakes that were started for `folder`, zombies left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder / "bzImage") in words:
            found.append(words)
    return found


def test_a_harness_that_stood_still_says_so(play):
    """SIGSTOP for 20 s was a boot of 23.7 s, `ok`."""
    heard = []

    def stand(data):
        if not heard:
            time.sleep(2.5)
        heard.append(data)

    evidence, folder = play("ok", PATIENT, on_output=stand)
    assert 2 < (evidence.ending.unwatched_s or 0) < 60
    index(folder, evidence.chunks)
    ran = a_run(ending=evidence.ending, judgement=Judgement(outcome="ok"))
    judged = complete(ran, folder).judgement
    assert judged.outcome == "warning" and judged.reason.startswith(STOOD_STILL)
    worked = complete(ran.model_copy(update={"clock": "work"}), folder).judgement
    assert "stood still" not in worked.reason


def test_a_good_boot_leaves_its_evidence(play):
    heard = []
    evidence, folder = play("ok", PATIENT, on_output=heard.append)
    assert 0 < (evidence.first_result_s or 0) <= evidence.ending.wall_s + 0.001
    golden = (ROOT / "tests/golden/console/grow-1t.log").read_bytes()
    assert evidence.ending.cause == "done"
    assert (folder / "console.log").read_bytes() == golden == b"".join(heard)
    assert (folder / "probes.jsonl").read_bytes().endswith(b'{"probe":"done"}\n')
    assert sum(chunk.size for chunk in evidence.chunks) == len(golden)
    assert evidence.samples[0].rss_bytes > 0
    lines = dmesg.read(golden, evidence.chunks).lines
    assert all(line.host_s is not None and line.host_s > 0 for line in lines)
    assert (folder / "qemu.sh").read_text().startswith("#!/bin/sh\nexec qemu-system-x86_64")
    assert not list(Path("/tmp").glob(f"pageinit-vm-{os.getpid()}-*"))


@pytest.mark.parametrize(
    ("part", "cause"),
    [
        ("silent", "no-output"),
        ("hang", "no-progress"),
        ("repeat", "no-progress"),
        ("flood", "no-progress"),
        ("panic", "failure"),
        ("reset", "guest-reset"),
        ("killed", "exited"),
        ("refuse", "start-refused"),
        ("stubborn", "no-progress"),
    ],
)
def test_every_ending_has_its_cause(play, part, cause):
    # A busy host starts the fake late: only what waits for silence may be in a hurry.
    hurry = cause in ("no-output", "no-progress")
    evidence, _ = play(part, LIMITS if hurry else PATIENT)
    assert evidence.ending.cause == cause
    assert evidence.ending.wall_s > 0


def test_the_trace_after_a_panic_is_kept(play):
    _, folder = play("panic", PATIENT)
    assert b"Call Trace:" in (folder / "console.log").read_bytes()


def test_a_killed_qemu_names_the_signal(play):
    evidence, _ = play("killed", PATIENT)
    assert evidence.ending.signal == "SIGKILL"


def test_a_qemu_that_refuses_is_quoted(play):
    evidence, _ = play("refuse", PATIENT)
    assert "cannot set up guest memory" in evidence.ending.detail


def test_a_hung_guest_is_asked_where_it_is(play):
    evidence, _ = play("hang")
    assert evidence.ending.where == "cpu0: early_idle+0x10"
    assert "RIP=ffffffff81000010" in evidence.ending.registers


def test_a_deadline_ends_what_makes_progress(play):
    evidence, _ = play("hang", Timeouts(silence_s=1000, progress_s=1000), deadline_s=0.5)
    assert evidence.ending.cause == "deadline"


def test_a_flood_is_bounded(play):
    evidence, folder = play("flood")
    assert (folder / "console.log").stat().st_size <= 64 << 20
    assert len(evidence.chunks) < 1 << 20


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphan_when_the_harness_is_killed(number, tmp_path):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from tests.support.boots import request\n"
        "from harness.boot.boot import boot\n"
        "from harness.model.experiment import Timeouts\n"
        "folder = Path(sys.argv[1])\n"
        "boot(request(folder, Timeouts(silence_s=1000, progress_s=1000)), folder)\n"
    )
    env = {**os.environ, "PATH": PATH, "FAKE_QEMU": "hang"}
    argv = [sys.executable, "-c", code, str(tmp_path), str(ROOT)]
    with subprocess.Popen(argv, env=env, cwd=ROOT) as harness:
        until(lambda: (tmp_path / "console.log").exists() and fakes_alive(tmp_path))
        until(lambda: (tmp_path / "console.log").stat().st_size > 0)
        harness.send_signal(number)
        harness.wait()
    until(lambda: not fakes_alive(tmp_path))


def test_ctrl_c_in_the_moment_of_news_is_not_lost(play):
    """wait_for() of Python 3.11 drops a cancellation when what it waits for has just come."""

    def interrupt(_: bytes) -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        play("hang", on_output=interrupt)


def until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def samples(faults):
    """One a second, with so many major faults in each."""
    return [
        HostSample(
            host_s=n,
            rss_bytes=480 << 20,
            minor_faults=0,
            major_faults=sum(faults[: n + 1]),
            user_s=0,
            system_s=0,
        )
        for n in range(len(faults))
    ]


def test_a_qemu_that_is_short_of_memory_is_named():
    said = boots.starved(samples([300, 0, 0, 0, 150, 170, 160, 180]))
    assert said.endswith("at 480MiB it reads 170 pages a second again")


@pytest.mark.parametrize("faults", [[], [9], [900, 900, 0, 0, 0, 0], [9] * 20])
def test_a_program_that_is_read_once_is_no_want_of_memory(faults):
    assert not boots.starved(samples(faults))


@pytest.mark.parametrize(
    ("part", "system_map", "why"),
    [("no-plugins", SYSTEM_MAP, "without plugins"), ("ok", "", "no boot marks")],
)
def test_what_cannot_count_is_a_boot_refused(monkeypatch, tmp_path, part, system_map, why):
    monkeypatch.setenv("PATH", f"{ROOT / 'tests/fakes'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_QEMU", part)
    asked = request(tmp_path, PATIENT)
    asked.system_map.write_text(system_map)
    found = boot(replace(asked, plugin=tmp_path / "stores.so", clock="work"), tmp_path)
    assert found.ending.cause == "start-refused" and why in found.ending.detail
    assert "-plugin" not in found.argv or part == "no-plugins"


def test_a_kernel_that_cannot_have_its_machine_is_a_boot_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", f"{ROOT / 'tests/fakes'}:{os.environ['PATH']}")
    (tmp_path / "config").write_text("CONFIG_NR_CPUS=1\n")
    asked = replace(request(tmp_path, PATIENT), config=tmp_path / "config")
    found = boot(asked, tmp_path)
    assert found.ending.cause == "start-refused"
    assert "CONFIG_NR_CPUS=1, the machine has 2 CPUs; --force" in found.ending.detail
    assert replace(asked, config=tmp_path / "none").obstacle is None
