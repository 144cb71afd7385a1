# SPDX-License-Identifier: GPL-2.0-only
"""Debian's kernel in a real QEMU: good boots, and every way in which one ends badly."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from harness.boot.boot import boot as boot_once
from harness.cli import main
from harness.kernel import debian
from harness.project import Project
from harness.run import loop
from harness.run.session import prepare
from harness.units import GIB, MIB
from tests.support.page import Tags
from tests.support.real import qemus, until

TOUCHED = 512 * MIB
"""What ``harness boot`` touches."""


@pytest.fixture
def boot(place, capfd):
    """``harness boot debian MACHINE`` with more words; answers the run record."""

    def run(machine: str, *words: str, status: int = 0):
        assert main(["boot", "debian", machine, "--json", *words]) == status
        return json.loads(capfd.readouterr().out)

    return run


def probes(record, name):
    return [probe for probe in record["probes"] if probe["probe"] == name]


def check_memory(record, nodes: int, each: int) -> None:
    """What the guest sees of its memory: the kernel keeps its image and the memmap, 1/64."""
    (total,) = probes(record, "meminfo")
    per_node = probes(record, "node_meminfo")
    assert [probe["node"] for probe in per_node] == list(range(nodes))
    assert sum(probe["mem_total_bytes"] for probe in per_node) == total["mem_total_bytes"]
    for probe in per_node:
        assert each * 63 // 64 - 128 * MIB < probe["mem_total_bytes"] < each
    zones = probes(record, "zoneinfo")
    assert {zone["node"] for zone in zones} == set(range(nodes))
    present = sum(zone["present_pages"] for zone in zones) * 4096
    assert nodes * each - MIB < present <= nodes * each


def check_touch(record, threads: int = 4) -> None:
    """Every pass touches all; a page faults in the first and never in the second."""
    (setup,) = probes(record, "touch_setup")
    pages = setup["touched_bytes"] // 4096
    assert setup["touched_bytes"] == setup["asked_bytes"] == TOUCHED
    first, mapped, recycled = probes(record, "touch_total")
    assert first["pages"] == mapped["pages"] == recycled["pages"] == pages
    assert pages <= first["faults_minor"] < pages + 100 * threads
    assert mapped["faults_minor"] < 100 * threads
    assert pages <= recycled["faults_minor"] < pages + 100 * threads
    assert 0 < mapped["tsc_span"] < first["tsc_span"]


def check_phases(record) -> None:
    """A kernel without marks tells by printk, and the host sees firmware and boot."""
    found = {(phase["source"], phase["name"]): phase for phase in record["phases"]}
    assert {("printk", "smp_init"), ("printk", "initcalls")} < found.keys()
    firmware, kernel = found["host", "firmware"], found["host", "boot"]
    assert 0 == firmware["start"] < firmware["end"] == kernel["start"] < kernel["end"]
    assert kernel["end"] < record["ending"]["wall_s"]
    assert record["judgement"]["last_phase"] == "user space"


def test_a_small_machine_boots(boot, kernel):
    record = boot("small")
    assert record["judgement"]["outcome"] == "ok"
    assert record["kernel"]["image_sha256"] == kernel.kernel.image_sha256
    (hello,) = probes(record, "hello")
    assert (hello["release"], hello["cpus"]) == (kernel.release, 1)
    check_memory(record, 1, GIB)
    check_touch(record)
    check_phases(record)


def test_a_sparse_numa_machine_boots(boot):
    # NUMA balancing unmaps pages to see who uses them: faults that are not the probe's.
    record = boot("quad", "--append", "numa_balancing=disable")
    assert record["judgement"]["outcome"] == "ok"
    assert probes(record, "hello")[0]["cpus"] == 4
    check_memory(record, 4, 16 * GIB)
    check_touch(record)
    check_phases(record)
    deferred = [p["node"] for p in record["phases"] if p["name"] == "deferred_init"]
    assert sorted(deferred) == [0, 1, 2, 3]
    resident = [sample["rss_bytes"] for sample in record["samples"]]
    # 64 GiB are sparse: the memmap, what is touched, and QEMU itself are all that is there.
    assert GIB < max(resident) < 3 * GIB
    faults = [sample["minor_faults"] for sample in record["samples"]]
    assert faults == sorted(faults) and record["samples"][-1]["user_s"] > 0


def test_a_newer_kernel_of_debian_boots(boot, place):
    package = "linux-image-6.12-cloud-amd64"
    if not debian.versions(package):
        pytest.skip(f"the archive has no {package}")
    variant = f"description: newer\nprebuilt: {{package: {package}}}\n"
    (place / "kernel-patches/variants/debian.yaml").write_text(variant)
    record = boot("small")
    assert record["judgement"]["outcome"] == "ok"
    assert probes(record, "hello")[0]["release"].startswith("6.12.")
    check_memory(record, 1, GIB)


def test_a_panic_leaves_its_trace(boot):
    record = boot("small", "--append", "rdinit=/nonexistent", status=1)
    judgement = record["judgement"]
    assert judgement["outcome"] == "panic"
    assert "Unable to mount root fs" in judgement["reason"]
    assert judgement["last_phase"] == "initcalls"
    assert judgement["last_stamp_s"] > 0.1
    assert "Unable to mount root fs" in judgement["excerpt"][0]
    assert any("Call Trace:" in line for line in judgement["excerpt"])
    assert not record["probes"]


def test_a_guest_that_waits_for_ever_is_asked_where_it_is(hatch, place):
    text = (place / "experiments/one.yaml").read_text()
    (place / "experiments/one.yaml").write_text(
        text + "boot: [rdinit=/nonexistent, root=/dev/nonexistent, rootwait]\n"
    )
    run, _ = hatch("")
    assert (run.judgement.outcome, run.ending.cause) == ("stalled", "no-progress")
    assert run.judgement.last_phase == "initcalls"
    assert "RFLAGS" in run.ending.registers or "RFL=" in run.ending.registers
    # Debian's package has no System.map of worth: the address itself, in the kernel's text.
    assert re.fullmatch(r"cpu0: 0xffffffff8[0-9a-f]{7}", run.ending.where)
    assert any("Waiting for root device" in line for line in run.judgement.excerpt)


def test_a_machine_that_never_runs_gives_no_output(place):
    text = (place / "experiments/one.yaml").read_text().replace("[small]", "[frozen]")
    (place / "experiments/one.yaml").write_text(text)
    assert main(["run", "experiments/one.yaml", "--json"]) == 1
    (path,) = place.glob("results/one/*/runs/debian/frozen/time/000/run.json")
    record = json.loads(path.read_text())
    assert record["judgement"]["outcome"] == "no-output"
    # The reset vector, at which a PC begins.
    assert record["ending"]["where"] == "cpu0: 0xfff0"


def test_a_killed_qemu_is_a_row(harness, place):
    process = harness("boot", "debian", "small", "--json", "--keep", "kept")
    console = place / "kept/runs/debian/small/time/000.part/console.log"
    until(lambda: console.exists() and b"Linux version" in console.read_bytes())
    (pid,) = qemus(process.pid)
    os.kill(pid, signal.SIGKILL)
    said = json.loads(process.communicate()[0])
    assert process.returncode == 1
    assert said["judgement"]["outcome"] == "killed"
    assert said["judgement"]["reason"] == "QEMU was killed by SIGKILL"
    assert said["judgement"]["last_phase"]


def test_a_qemu_that_refuses_to_start_is_quoted(boot):
    record = boot("refused", status=1)
    assert record["judgement"]["outcome"] == "start-refused"
    assert "unable to find CPU model 'no-such-cpu'" in record["judgement"]["reason"]
    assert record["ending"]["exit_code"] == 1


EVIL = "</pre><script>alert(1)</script>| \\033]0;owned\\007\\033[2J\\033[31m`x` \\xe2\\x80\\xae"
HOSTILE = f"""
	put("/dev/kmsg", "<0>BUG: {EVIL}");
	put("/dev/console", "{EVIL}\\r\\n");
	put("/dev/console", "[    9.000000] WARNING: {EVIL}\\n");
	usleep(300000);
	reboot(RB_POWER_OFF);
"""


def test_what_a_guest_prints_is_escaped_in_the_report(hatch, place):
    text = (place / "experiments/one.yaml").read_text()
    # The kernel prints its parameters; the report has them in the line of QEMU.
    evil = "boot: ['evil=<script>alert(2)</script>']\n"
    (place / "experiments/one.yaml").write_text(text + evil)
    run, folder = hatch(HOSTILE)
    raw = (folder / "runs/debian/small/time/000/console.log").read_bytes()
    assert b"evil=<script>alert(2)</script>" in raw
    assert raw.count(b"<script>alert(1)") >= 3 and b"\x1b]0;owned\x07" in raw
    assert run.judgement.outcome == "oops"
    page, text = ((folder / f"report.{kind}").read_text() for kind in ("html", "md"))
    tags = Tags.of(page)
    # Each script is one of ours, that the policy names, or data that no browser runs.
    assert tags.names.count("script") == len(tags.scripts) + len(tags.data)
    assert tags.scripts and tags.allowed == tags.hashes_of_scripts
    assert not [script for script in tags.scripts if "alert(" in script]
    assert "&lt;script&gt;alert(1)" in page and "&lt;script&gt;alert(2)" in page
    quoted = [line for line in text.splitlines() if "<script" in line]
    # In Markdown only a code block may hold it, and there nothing is a tag.
    assert quoted and all(line.startswith("    ") for line in quoted)
    for shown in (page, text, *(p.read_text() for p in folder.glob("*.csv"))):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)


def test_the_work_clock_repeats_itself_to_the_byte(place, cache, tmp_path):
    """The second time to a reader that lags: the guest must not notice."""
    project = Project(place, cache)
    session = prepare(project, project.experiment(Path("work")))
    (slot,) = session.experiment.schedule()
    for name, lag in (("swift", 0.0), ("slow", 0.03)):
        (tmp_path / name).mkdir()
        seen = boot_once(
            loop.request(session, slot),
            tmp_path / name,
            lambda data, lag=lag: time.sleep(lag),
        )
        assert seen.ending.cause == "done"
    for name in ("console.log", "probes.jsonl"):
        data = (tmp_path / "swift" / name).read_bytes()
        assert len(data) > 1000 and data == (tmp_path / "slow" / name).read_bytes()
