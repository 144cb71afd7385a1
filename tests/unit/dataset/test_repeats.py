# SPDX-License-Identifier: GPL-2.0-only
"""Boots of the work clock that are not the same are found, and the first line that differs."""

import pytest

from harness.dataset import dataset
from harness.dataset.repeats import fingerprint, look
from harness.files import write_atomic
from harness.model.run import Ending
from harness.report import render
from harness.results.folder import Results, to_json
from tests.support.records import EVIL, lock, stored

CONSOLE = b"[    0.000000] Linux\n[    1.000000] boot-marks: begin\n"


@pytest.fixture
def boots(tmp_path):
    """Three boots of a cell as they lie on disk."""
    results = Results(tmp_path)
    write_atomic(tmp_path / "experiment.lock.yaml", lock().to_yaml())
    for block in range(3):
        folder = tmp_path / "runs/eager/m1/work" / f"{block:03d}"
        write_atomic(folder / "console.log", CONSOLE)
        write_atomic(folder / "probes.jsonl", b'{"probe":"done"}\n')
        write_atomic(folder / "run.json", to_json(stored(("eager", "m1", "work"), block, 1).run))
    return results


def test_boots_that_are_the_same_say_so(boots, tmp_path):
    found = dataset.collate(boots)
    assert found.repeats.cells == 1 and not found.repeats.mismatches
    assert "1 of 1 cells that booted more than once gave the same bytes" in render.render(
        boots, found
    )[1].replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "line", "place"),
    [
        ("console.log", CONSOLE.replace(b"begin", b"begun"), 2),
        ("console.log", CONSOLE.replace(b"begin", EVIL.encode()), 2),
        ("probes.jsonl", b"", 1),
    ],
)
def test_the_first_line_that_differs_is_named(boots, tmp_path, name, line, place):
    (tmp_path / "runs/eager/m1/work/002" / name).write_bytes(line)
    found = dataset.collate(boots)
    [mismatch] = found.repeats.mismatches
    assert (mismatch.file, mismatch.line) == (name, place)
    assert [folder.name for folder in mismatch.folders] == ["000", "002"]
    page, text = render.render(boots, found)
    assert "NOT THE SAME" in text and "0 of 1 cells" in text.replace("\n", " ")
    assert "<script>alert" not in page and "\x1b" not in str(mismatch)


def test_a_console_may_go_on_after_the_probes_are_done(boots, tmp_path):
    (tmp_path / "runs/eager/m1/work/002/console.log").write_bytes(CONSOLE + b"[    2.0] tsc: late")
    found = dataset.collate(boots)
    assert found.repeats.cells == 1 and not found.repeats.mismatches


def test_only_finished_boots_of_the_work_clock_have_to_be_the_same(boots, tmp_path):
    work = stored(("eager", "m1", "work"), 0, 1)
    time = stored(("eager", "m1", "time"), 0, 1)
    folder = tmp_path / "runs/eager/m1/work/000"
    assert fingerprint(work.run, folder) and not fingerprint(time.run, folder)
    killed = work.run.model_copy(update={"ending": Ending(cause="deadline")})
    assert fingerprint(killed, folder) is None
    assert look([]).cells == 0
