# SPDX-License-Identifier: GPL-2.0-only
"""What a host brought: all of a block or nothing, and whatever else it is lies aside."""

import json

import pytest

from harness.errors import RemoteError
from harness.hosts import archive
from harness.hosts.intake import check_outcome, take_in
from harness.hosts.supervisor import LOG, OUTCOME
from harness.model.schedule import Slot
from harness.results.folder import RUN_FILE, Results, to_json
from tests.support.records import a_run

LOCK = "0" * 12
SLOTS = tuple(Slot(variant, "m1", "time", 0, n) for n, variant in enumerate(("eager", "grow")))


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results")


@pytest.fixture
def folder(tmp_path):
    """A block as a host leaves it, all of it good."""
    folder = tmp_path / "block"
    for slot in SLOTS:
        place = folder / "results/runs" / slot.key
        place.mkdir(parents=True)
        run = a_run().model_copy(
            update={
                "run_id": slot.run_id(LOCK),
                "variant": slot.variant,
                "machine": slot.machine,
                "clock": slot.clock,
                "block": slot.block,
            }
        )
        (place / RUN_FILE).write_text(to_json(run))
    (folder / OUTCOME).write_text('{"cause": "ended", "status": 0}')
    (folder / LOG).write_text("said\n")
    return folder


def arrive(results, folder):
    data = archive.pack(folder, (OUTCOME, LOG, "results/runs"))
    return take_in(results, LOCK, SLOTS, data, "a-1")


def left(results, part):
    return sorted(p.name for p in (results.path / part).glob("*"))


def test_a_whole_block_is_taken_in_and_leaves_nothing_else(results, folder):
    runs = arrive(results, folder)
    assert [run.run_id for run in runs] == [slot.run_id(LOCK) for slot in SLOTS]
    stored, damage = results.read()
    assert len(stored) == 2 and not damage
    assert not left(results, "incoming") and not left(results, "aside")


def test_a_block_that_arrives_twice_counts_once(results, folder):
    arrive(results, folder)
    arrive(results, folder)
    stored, damage = results.read()
    assert len(stored) == 2 and not damage


def other(key, value):
    def act(folder):
        path = folder / "results/runs" / SLOTS[1].key / RUN_FILE
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {key: value}))

    return act


def lacks(folder):
    (folder / "results/runs" / SLOTS[1].key / RUN_FILE).unlink()


def torn(folder):
    path = folder / "results/runs" / SLOTS[1].key / RUN_FILE
    path.write_bytes(path.read_bytes()[:99])


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lacks, "grow/m1/time/000: "),
        (torn, "grow/m1/time/000: "),
        (other("run_id", "x"), "is another run"),
        (other("block", 1), "is another run"),
        (other("variant", "eager"), "is another run"),
        (lambda folder: (folder / OUTCOME).unlink(), "sends no outcome"),
        (lambda folder: (folder / OUTCOME).write_text("[" * 9999), "sends no outcome"),
        (lambda folder: (folder / OUTCOME).write_text('{"cause":"x","status":0}'), "no outcome"),
    ],
)
def test_half_a_block_is_none_and_lies_aside(results, folder, harm, why):
    harm(folder)
    with pytest.raises(RemoteError, match=why):
        arrive(results, folder)
    assert results.read() == ([], [])
    assert left(results, "aside") == ["a-1"] and not left(results, "incoming")


def test_the_next_attempt_of_that_name_takes_the_place(results, folder):
    saved = (folder / OUTCOME).read_text()
    for _ in range(2):
        (folder / OUTCOME).unlink(missing_ok=True)
        with pytest.raises(RemoteError):
            arrive(results, folder)
    (folder / OUTCOME).write_text(saved)
    arrive(results, folder)
    assert len(results.read()[0]) == 2


@pytest.mark.parametrize("data", [None, 7, "text", b"", b"\x1f\x8b"])
def test_what_is_no_archive_is_said(results, data):
    with pytest.raises(RemoteError, match=r"sends no archive|sends damaged results"):
        take_in(results, LOCK, SLOTS, data, "a-1")
    assert not left(results, "incoming")


@pytest.mark.parametrize(("cause", "status"), [("ended", 2), ("deadline", -9), ("lost", 0)])
def test_how_a_block_ended_is_said_with_its_last_line(folder, cause, status):
    (folder / OUTCOME).write_text(json.dumps({"cause": cause, "status": status}))
    (folder / LOG).write_bytes(b"first\n\x1b[31mno disk\xff\n")
    with pytest.raises(RemoteError, match=f"the block {cause}, status {status}: ") as error:
        check_outcome(folder)
    assert "no disk" in str(error.value) and str(error.value).isprintable()
