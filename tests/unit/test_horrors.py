# SPDX-License-Identifier: GPL-2.0-only
"""A results folder of horrors: each is named and set aside, the rest is collated, the status is 1.

What others hand us as results may lead elsewhere, never end, or be larger than any memory.
"""

import gzip
import json
import os
import re
import shutil
import socket
import time
from pathlib import Path

import pytest

from harness.cli import main
from harness.dataset.dataset import collate
from harness.parse.evidence import reread
from harness.results.folder import Results
from tests.support.checkout import ROOT

GOOD = ROOT / "tests/golden/results-v1"
SECRET = "the secret of another folder"
CELL = "runs/eager/quad-16g/work"


@pytest.fixture
def folder(tmp_path):
    """A good run, 000, and a copy of it, 001, for a horror; beside it, what nobody may touch."""
    found = Path(shutil.copytree(GOOD, tmp_path / "results"))
    shutil.copytree(found / CELL / "000", found / CELL / "001")
    (tmp_path / "elsewhere").write_text(SECRET)
    edit(found, lambda run: run.update(block=1, run_id="1" * 12))
    return found


def edit(folder, change):
    path = folder / CELL / "001/run.json"
    run = json.loads(path.read_text())
    change(run)
    path.write_text(json.dumps(run))


def text(data):
    """A record of these bytes."""
    return lambda run: run.write_bytes(data)


def say(key, value):
    """A record that says so."""

    def act(run):
        record = json.loads(run.read_text())
        record[key] = value
        run.write_text(json.dumps(record))

    return act


def link(run):
    run.unlink()
    run.symlink_to(run.parents[1] / "000/run.json")


def device(run):
    run.unlink()
    run.symlink_to("/dev/zero")


def hard(run):
    os.link(run, run.parents[5] / "other")


def fifo(run):
    run.unlink()
    os.mkfifo(run)


def listens(run):
    run.unlink()
    here = Path.cwd()
    os.chdir(run.parent)
    socket.socket(socket.AF_UNIX).bind(run.name)
    os.chdir(here)


def folded(run):
    run.unlink()
    run.mkdir()


def whole(run):
    """The folder of the block, as a link."""
    run.parent.rename(run.parents[5] / "moved")
    run.parent.symlink_to(run.parents[5] / "moved")


RECORDS = {
    "brackets": (text(b"[" * 100_000), "recursion limit"),
    "half a pair": (text(b'{"\\ud800": 1}'), "hex escape"),
    "26 digits": (say("order", 10**26), "beyond 64 bits"),
    "400 digits": (say("order", 10**400), "beyond 64 bits"),
    "9000 digits": (text(b'{"order": ' + b"9" * 9000 + b"}"), "number out of range"),
    "1e400": (text(b'{"schema_version": 1, "order": 1e400}'), "beyond 64 bits"),
    "a large float": (say("order", 1e30), "beyond 64 bits"),
    "a shift": (say("work_shift", 1 << 40), "work_shift"),
    "zeros": (text(bytes(999)), "expected value"),
    "symlink": (link, "symbolic link"),
    "/dev/zero": (device, "symbolic link"),
    "hard link": (hard, "hard link"),
    "FIFO": (fifo, "no plain file"),
    "socket": (listens, "no plain file"),
    "folder": (folded, "is a folder"),
    "gone": (lambda run: run.unlink(), "No such file"),
}


@pytest.mark.parametrize(("harm", "why"), RECORDS.values(), ids=RECORDS)
def test_a_record_that_cannot_be_read_is_set_aside_by_name(folder, harm, why):
    harm(folder / CELL / "001/run.json")
    found = collate(Results(folder), reread)
    assert found.runs["block"].tolist() == [0]
    (damage,) = found.damage
    assert damage.path == folder / CELL / "001/run.json" and why in damage.reason


@pytest.mark.parametrize("depth", range(5))
def test_a_folder_that_is_a_link_is_not_followed(folder, depth):
    place = folder / Path(*Path(CELL, "001").parts[: depth + 1])
    place.rename(folder.parent / "moved")
    place.symlink_to(folder.parent / "moved")
    found = collate(Results(folder), reread)
    assert [(d.path, "symbolic link" in d.reason) for d in found.damage] == [(place, True)]
    assert found.runs["block"].tolist() == ([0] if depth == 4 else [])


PROBES = {
    "26 digits": [10**26],
    "400 digits": [10**400],
    "deep": json.loads("[" * 150 + "]" * 150),
    "names": {"=1+1": 1, "\x1b]0;x\x07": "\x1b]52;c;eA==\x07"},
}


@pytest.mark.parametrize("value", PROBES.values(), ids=PROBES)
def test_a_fact_that_no_column_holds_costs_no_other(folder, value):
    say("probes", [{"probe": "x", "a": value, "b": 7}])(folder / CELL / "001/run.json")
    found = collate(Results(folder))
    assert not found.damage
    assert found.probes.set_index("name").loc["b", "value"] == 7
    assert not found.probes["text"].str.contains("\x1b", regex=False).any()


SAID = {
    "marks of 20 digits": (
        "console.log",
        rb"(calls|pages|busy|end)=\d+",
        rb"\1=99999999999999999999",
    ),
    "a banner of digits": ("console.log", rb"tsc_khz=\d+", b"tsc_khz=" + b"9" * 5000),
    "stamps": ("console.log", rb"\[ *\d+\.\d+\]", b"[" + b"9" * 400 + b".999999]"),
    "sizes": ("console.log", rb"Brought up \d+ node", b"Brought up " + b"9" * 5000 + b" node"),
    "arrivals": ("console.jsonl", rb'"host_s": [0-9.]+', b'"host_s": 1e999'),
    "results": ("probes.jsonl", rb":\d+", b":" + b"9" * 400),
}


@pytest.mark.parametrize(("name", "old", "new"), SAID.values(), ids=SAID)
def test_what_a_guest_says_of_numbers_is_never_a_bug_of_ours(folder, name, old, new):
    packed = folder / CELL / "001" / f"{name}.gz"
    said = re.sub(old, new, gzip.decompress(packed.read_bytes()))
    packed.write_bytes(gzip.compress(said))
    found = collate(Results(folder), reread)
    assert not found.damage
    assert found.runs["block"].tolist() == [0, 1]
    for _, run in found.runs.iterrows():
        assert run["outcome"] in ("ok", "incomplete", "warning", "smaller")


def bomb(path, size):
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))


EVIDENCE = {
    "symlink": (lambda path: path.symlink_to(path.parents[6] / "elsewhere"), "symbolic link"),
    "hard link": (lambda path: os.link(path.parents[6] / "elsewhere", path), "hard link"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "symbolic link"),
    "FIFO": (os.mkfifo, "no plain file"),
    "folder": (Path.mkdir, "is a folder"),
}


@pytest.mark.parametrize("name", ["console.log", "console.jsonl", "probes.jsonl"])
@pytest.mark.parametrize(("harm", "why"), EVIDENCE.values(), ids=EVIDENCE)
def test_evidence_that_leads_elsewhere_is_named_and_not_read(folder, name, harm, why):
    harm(folder / CELL / "001" / name)
    found = collate(Results(folder), reread)
    assert found.runs["block"].tolist() == [0, 1]
    assert [(d.path.name, why in d.reason) for d in found.damage] == [(name, True)]


def test_evidence_that_unpacks_without_end_is_cut_off(folder):
    path = folder / CELL / "001/console.log.gz"
    bomb(path, 300 << 20)
    (damage,) = collate(Results(folder), reread).damage
    assert damage.path == path and "unpacks to more than 256 MiB" in damage.reason


LOCKS = {
    "symlink": lambda path: path.symlink_to(path.parents[1] / "elsewhere"),
    "hard link": lambda path: os.link(path.parents[1] / "elsewhere", path),
    "FIFO": os.mkfifo,
}


@pytest.mark.parametrize("name", [".lock", "experiment.lock.yaml", "ledger.jsonl", "figures"])
@pytest.mark.parametrize("harm", LOCKS.values(), ids=LOCKS)
def test_nothing_is_written_or_read_through_a_link(folder, capfd, name, harm):
    if name == "figures" and harm != LOCKS["symlink"]:
        pytest.skip("is a folder")
    (folder / name).unlink(missing_ok=True)
    harm(folder / name)
    assert main(["collate", str(folder)]) in (1, 2)
    assert str(folder / name).rpartition("/")[2] in "".join(capfd.readouterr())
    assert main(["status", str(folder)]) in (0, 1, 2)
    assert (folder.parent / "elsewhere").read_text() == SECRET


def test_what_leads_elsewhere_is_replaced_never_written_through(folder):
    for name in ("runs.csv", "report.html", "report.md", "datapackage.json"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(folder.parent / "elsewhere")
    assert main(["collate", str(folder)]) == 0
    assert (folder.parent / "elsewhere").read_text() == SECRET
    assert not (folder / "report.md").is_symlink()


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{n}: &a{n} {{<<: [{', '.join(4 * [f'*a{n - 1}'])}]}}\n" for n in range(1, 14)),
        "hash: <script>alert(1)</script>\n",
        '"\\e]0;title\\a": 1\n"\\e]52;c;eA==\\a": 2\n',
    ],
    ids=["merges", "markup", "sequences"],
)
def test_a_hostile_lock_is_one_error_without_effect(folder, capfd, text):
    path = folder / "experiment.lock.yaml"
    path.write_text(text)
    begun = time.process_time()
    assert main(["status", str(folder)]) == 2
    assert main(["collate", str(folder)]) == 1
    assert time.process_time() - begun < 30
    said = "".join(capfd.readouterr())
    assert str(path) in said and "\x1b" not in said and "\a" not in said
    assert "<script" not in (folder / "report.md").read_text()


def test_all_of_it_at_once_is_named_and_the_rest_collated(folder, capfd):
    first = folder / CELL / "001"
    for number, (harm, _) in enumerate(RECORDS.values(), 2):
        block = Path(shutil.copytree(first, first.with_name(f"{number:03}")))
        harm(block / "run.json")
    assert main(["status", str(folder)]) == 1
    capfd.readouterr()
    assert main(["collate", str(folder)]) == 1
    said = " ".join("".join(capfd.readouterr()).split())
    assert said.count("DAMAGED: ") == len(RECORDS)
    rows = (folder / "runs.csv").read_text().splitlines()
    assert len(rows) == 3


def test_runs_that_cannot_be_listed_leave_the_tables_as_they_are(folder, capfd):
    before = (folder / "runs.csv").read_bytes()
    (folder / "runs").rename(folder / "was")
    (folder / "runs").write_text("")
    assert main(["collate", str(folder)]) == 2
    assert (folder / "runs.csv").read_bytes() == before
