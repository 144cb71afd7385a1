# SPDX-License-Identifier: GPL-2.0-only
"""A history of nights that survives crashes and readers."""

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from harness.nightly import history
from harness.nightly.history import History
from tests.support.nights import Year, make
from tests.support.real import until


def stored(folder: Path, count: int) -> History:
    made = History(folder / "history")
    for night in make(Year(nights=count, counts={"boot": 10**6}, seconds={"boot": 2.0})):
        made.append(night)
    return made


def test_nights_come_back_as_they_were(tmp_path):
    made = stored(tmp_path, 3)
    assert made.read() == (make(Year(nights=3, counts={"boot": 10**6}, seconds={"boot": 2.0})), [])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda data: data[: len(data) // 2], "not a night"),
        (lambda data: b"", "not a night"),
        (lambda data: b"\0" * len(data), "not a night"),
        (lambda data: b"[1]", "not a night"),
        (lambda data: data.replace(b"1000000", b"2000000"), "altered"),
    ],
    ids=["torn", "empty", "zeros", "foreign", "altered"],
)
def test_a_damaged_night_is_named_and_the_others_are_read(tmp_path, harm, words):
    made = stored(tmp_path, 3)
    path = made.path / "000002-2026-01-02.json"
    path.write_bytes(harm(path.read_bytes()))
    nights, (damage,) = made.read()
    assert [night.number for night in nights] == [1, 3]
    assert damage.path == path
    assert words in damage.reason
    assert made.append(nights[0]).number == 4, "a number is never used again"
    assert path.exists()


def test_a_night_of_a_later_version_is_named(tmp_path):
    made = stored(tmp_path, 1)
    night = make(Year(nights=1))[0].model_copy(update={"version": 9, "number": 2})
    (made.path / "000002-2026-01-02.json").write_bytes(history.to_bytes(night))
    assert "version 9" in made.read()[1][0].reason


def append_for_ever(made, night, told):
    told.recv()
    while True:
        made.append(night)


def test_kill_9_in_the_middle_of_appends_leaves_whole_nights_only(tmp_path):
    """Two writers at once, shot again and again, while a reader reads."""
    made, seen, torn = History(tmp_path), 0, []
    night = make(Year(nights=1, counts={f"phase {n}": n for n in range(300)}))[0]
    context = multiprocessing.get_context("fork")
    tell, told = zip(*(context.Pipe() for _ in range(6)), strict=True)
    writers = [context.Process(target=append_for_ever, args=(made, night, at)) for at in told]
    for writer in writers:
        writer.start()
    writing, end = threading.Event(), threading.Event()

    def read() -> None:
        while writing.wait() and not end.is_set():
            nights, damage = made.read()
            numbers = [night.number for night in nights]
            if damage or numbers != list(range(1, len(numbers) + 1)):
                torn.append((numbers, damage))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for shot in range(3):
            two = slice(2 * shot, 2 * shot + 2)
            for go in tell[two]:
                go.send("go")
            writing.set()
            until(lambda before=seen: len(list(tmp_path.glob("0*.json"))) > before + 1)
            time.sleep(0.01 * shot)
            for writer in writers[two]:
                writer.kill()
                writer.join()
            writing.clear()
            nights, damage = made.read()
            assert not damage
            assert len(nights) >= seen
            seen = len(nights)
    finally:
        end.set()
        writing.set()
        reader.join()
        for writer in writers:
            writer.kill()
    assert seen >= 6
    assert not torn
    number = made.append(make(Year(nights=1))[0]).number
    assert number == seen + 1
    assert not list(tmp_path.glob(".*.tmp"))


def test_csv_has_every_figure_of_every_night():
    nights = make(Year(nights=3, counts={"boot": 10**6}, seconds={"boot": 2.0}))
    lines = history.to_csv(nights).decode().splitlines()
    assert lines[0].split(",") == [column.name for column in history.COLUMNS]
    assert len(lines) == 7
    assert lines[1].startswith(
        "1,2026-01-01,eager,small,work,boot,instructions,1000000.0,1,0.0,true"
    )
