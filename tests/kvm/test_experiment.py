# SPDX-License-Identifier: GPL-2.0-only
"""Real boots under KVM, of this host or of an emulated one: found, marked, ended in every way."""

import itertools
import json
import re

import pytest

from harness.results.folder import Results
from tests.support.checkout import rows


@pytest.fixture(scope="session")
def runs(returned):
    """The runs of an experiment, by its name."""

    def find(name):
        (folder,) = (returned.folder / "checkout/results" / name).iterdir()
        return folder, [stored.run for stored in Results(folder).read()[0]]

    return find


def test_kvm_is_found_however_slow_it_is(returned):
    found = returned.said["probe"]
    assert found["detail"].startswith("booted to user space in ")
    assert found["slowdown"] >= 1


def test_an_experiment_boots_under_it(returned, runs):
    _, found = runs("pair")
    assert returned.said["again"] == 0, (returned.folder / "again.err").read_text()
    assert sorted((run.variant, run.block) for run in found) == [
        (name, block) for name in ("deferred", "eager") for block in (0, 1)
    ]
    for run in found:
        assert run.judgement.outcome == "ok", run.judgement
        assert run.environment.accel == "kvm" and "kvm" in run.argv
        assert run.environment.slowdown == returned.said["probe"]["slowdown"]


def test_the_guest_counts_by_the_rate_that_kvm_tells(returned, runs):
    khz = returned.said["probe"]["tsc_khz"]
    for run in runs("pair")[1]:
        assert khz and run.environment.tsc_khz == khz
        words = run.command_line.split()
        assert {"tsc=reliable", "no_timer_check", f"tsc_early_khz={khz}"} <= set(words)


def test_marks_lie_on_the_clock_of_the_host(runs):
    for run in runs("pair")[1]:
        marks = {p.name: p for p in run.phases if p.source == "mark"}
        host = {p.name: p for p in run.phases if p.source == "host"}
        order = [marks[name] for name in ("memmap_init", "memblock_free_all", "smp_init")]
        assert all(a.end <= b.start for a, b in itertools.pairwise(order))
        whole = marks["boot"]
        for mark in order:
            assert whole.start <= mark.start < mark.end <= whole.end
            placed = mark.host_start_s, mark.host_end_s
            assert 0 < placed[0] < placed[1] < run.ending.wall_s
            # As long by the one clock as by the other.
            assert placed[1] - placed[0] == pytest.approx(mark.end - mark.start, abs=0.001)
        assert host["firmware"].end == host["boot"].start < host["boot"].end < run.ending.wall_s
        # What the guest has counted is no more than the host has seen of it.
        assert whole.end - whole.start < run.ending.wall_s


def test_only_the_deferred_kernel_defers(runs):
    for run in runs("pair")[1]:
        deferred = [p for p in run.phases if p.name == "deferred_init"]
        assert bool(deferred) == (run.variant == "deferred")


def test_a_killed_qemu_is_a_row_and_a_killed_harness_goes_on(returned, runs):
    folder, _ = runs("pair")
    (aside,) = folder.rglob("*.attempt*/run.json")
    judgement = json.loads(aside.read_text())["judgement"]
    assert judgement["outcome"] == "killed"
    assert judgement["reason"] == "QEMU was killed by SIGKILL"
    # Of the two that were there, the good one was not booted again.
    kept = returned.said["kept"]
    same = [
        path for path in kept if (returned.folder / "checkout" / path).read_text() == kept[path]
    ]
    assert len(kept) == 2 and len(same) == 1
    assert len(rows(folder, "runs")) == 4
    assert not list(folder.rglob("*.part"))


def test_a_hang_and_a_panic_are_told_apart(returned, runs):
    assert returned.said["bad"] == 1
    hang, panic = sorted(runs("bad")[1], key=lambda run: run.variant)
    assert (hang.judgement.outcome, hang.ending.cause) == ("stalled", "no-progress")
    assert "before mounting root device" in hang.judgement.excerpt[-1]
    # Asked where it is, each vCPU answers.
    assert re.fullmatch("cpu0: .*, cpu1: .*", hang.ending.where)
    assert panic.judgement.outcome == "panic", panic.judgement
    assert "Kernel panic - not syncing" in panic.judgement.excerpt[0]


def test_the_dataset_is_collated_and_compared(returned, runs):
    folder, _ = runs("pair")
    for name in ("collate", "compare"):
        assert returned.said[name] == 0, (returned.folder / f"{name}.err").read_text()
    assert (folder / "report.html").is_file()
    assert {row["accel"] for row in rows(folder, "runs")} == {"kvm"}
    said = json.loads((returned.folder / "compare.out").read_text())
    (boot,) = [row for row in said["rows"] if row["name"] == "boot"]
    # Two blocks are too few for a verdict about times.
    assert (boot["verdict"], boot["n"], boot["more_blocks"]) == ("inconclusive", 2, 4)


def test_the_cpu_of_the_host_boots_as_it_is(returned):
    record = json.loads((returned.folder / "as-host.out").read_text())
    assert record["judgement"]["outcome"] == "ok", record["judgement"]
    assert record["argv"][record["argv"].index("-cpu") + 1].startswith("host,")


def test_memory_that_the_cpu_cannot_address_is_refused(returned):
    if "too-large" not in returned.said:
        pytest.skip("the CPU of this host addresses all that a machine may have")
    bits = returned.said["probe"]["address_bits"]
    refused, forced = (
        json.loads((returned.folder / f"{name}.out").read_text())["judgement"]
        for name in ("too-large", "forced")
    )
    assert refused["outcome"] == forced["outcome"] == "start-refused"
    assert f"those of the host's CPU, {bits}" in refused["reason"]
    # QEMU's own words, which come late, and from 7.1 on only.
    assert "phys-bits too low" in forced["reason"]
