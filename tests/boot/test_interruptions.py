# SPDX-License-Identifier: GPL-2.0-only
"""Kill, Ctrl-C, a second start and a full disk, all real: no run is lost, no QEMU is left."""

import contextlib
import csv
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.cli import main
from harness.results.folder import Results
from tests.support.real import qemus, running, until

RUN = ("run", "experiments/three.yaml")


def results(place: Path) -> Path:
    (folder,) = (place / "results" / "three").iterdir()
    return folder


def finished(place: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in place.glob("results/three/*/runs/*/*/*/*/run.json")}


def in_the_middle(process, place: Path) -> int:
    """Waits until a boot is over and the next has begun; answers the next one's QEMU."""
    until(lambda: len(finished(place)) == 1)
    console = until(lambda: list(place.glob("results/three/*/runs/*/*/*/*.part/console.log")))[0]
    until(lambda: b"Linux version" in console.read_bytes())
    (pid,) = until(lambda: qemus(process.pid))
    return pid


def check_resumed(place: Path, kept: dict[Path, bytes]) -> None:
    """The next start finishes what is left and does not touch what was finished."""
    assert main([*RUN]) == 0
    with (results(place) / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows] == ["ok"] * 3
    assert all(path.read_bytes() == data for path, data in kept.items())
    assert not list(place.rglob("*.part"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_ended_leaves_no_qemu_and_the_next_goes_on(harness, place, number):
    process = harness(*RUN)
    pid = in_the_middle(process, place)
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    until(lambda: not running(pid), 5)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted" in said and "Traceback" not in said
    assert len(Results(results(place)).read()[0]) == 1
    assert list(results(place).rglob("000.part")) or list(results(place).rglob("001.part"))
    check_resumed(place, finished(place))


def test_a_second_start_is_refused_and_names_the_first(harness, place, capfd):
    first = harness(*RUN)
    in_the_middle(first, place)
    assert main([*RUN]) == 2
    assert f"another harness writes here (process {first.pid})" in capfd.readouterr().err
    assert first.wait(60) == 0
    assert len(finished(place)) == 3


@contextlib.contextmanager
def small_disk(folder: Path, options: str):
    """A tmpfs on `folder`; skips where we may not mount one."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_bytes(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with contextlib.suppress(OSError), (folder / "more").open("wb", buffering=0) as file:
        while True:
            file.write(b"x")


def fill_inodes(folder: Path) -> None:
    (folder / "ballast").mkdir()
    with contextlib.suppress(OSError):
        for number in range(1 << 20):
            (folder / "ballast" / str(number)).touch()


@pytest.mark.parametrize(
    ("options", "fill"),
    [("size=16m", fill_bytes), ("size=16m,nr_inodes=500", fill_inodes)],
    ids=["bytes", "inodes"],
)
def test_a_full_disk_is_an_error_and_loses_no_run(harness, place, options, fill):
    with small_disk(place / "results", options) as disk:
        process = harness(*RUN)
        until(lambda: len(finished(place)) == 1)
        fill(disk)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 2, said
        assert "No space left on device" in said and "remedy:" in said
        assert "Traceback" not in said
        kept = finished(place)
        assert 1 <= len(kept) < 3
        for ballast in (disk / "ballast", disk / "more"):
            if ballast.is_dir():
                shutil.rmtree(ballast)
            ballast.unlink(missing_ok=True)
        check_resumed(place, kept)
