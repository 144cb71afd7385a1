# SPDX-License-Identifier: GPL-2.0-only
"""Files whole or absent, and lines that a torn one before them cannot damage."""

import errno
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import files
from harness.errors import HostError, ResultsError
from harness.files import append_line, read_bytes, write_atomic

LINES = st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), min_size=1))


@given(before=st.binary(max_size=60), added=LINES, more=LINES)
def test_what_is_appended_is_whole_whatever_is_before(tmp_path_factory, before, added, more):
    path = tmp_path_factory.mktemp("a") / "lines"
    path.write_bytes(before)
    append_line(path, *added)
    append_line(path, *more)
    after = path.read_bytes()
    assert after.startswith(before)
    told = "".join(f"{line}\n" for line in (*added, *more)).encode()
    torn = before and told and not before.endswith(b"\n")
    assert after[len(before) :] == (b"\n" if torn else b"") + told


@pytest.mark.parametrize(("mode", "folder"), [(0o600, 0o700), (0o644, 0o755)])
def test_a_new_file_and_its_folder_are_as_private_as_asked(tmp_path, mode, folder):
    path = tmp_path / "new/lines"
    before = os.umask(0)
    try:
        append_line(path, "x", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE(path.parent.stat().st_mode) == folder
    append_line(path, "y", mode=0o644)
    assert path.read_text() == "x\ny\n" and stat.S_IMODE(path.stat().st_mode) == mode


def test_a_disk_that_takes_a_part_first_gets_the_rest(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[:3]))
    append_line(tmp_path / "lines", "a long line", "another")
    assert (tmp_path / "lines").read_text() == "a long line\nanother\n"


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("write", [append_line, write_atomic])
def test_a_full_disk_is_named_with_its_place(tmp_path, monkeypatch, write):
    path = Path(tmp_path / "x")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match="No space left") as caught:
        write(path, "data")
    assert caught.value.where == str(path) and "make room" in (caught.value.remedy or "")


def test_a_full_cache_is_named_in_the_same_words(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(HostError, match="No space left") as caught,
        files.filling(tmp_path / "kernel") as part,
    ):
        (part / "bzImage").write_bytes(b"x")
    assert "PAGEINIT_CACHE" in (caught.value.remedy or "")
    assert not list(tmp_path.iterdir())


def test_a_folder_gets_its_name_only_when_it_is_whole(tmp_path):
    final = tmp_path / "kernels" / "id"
    with pytest.raises(RuntimeError), files.filling(final) as part:
        (part / "half").write_text("x")
        raise RuntimeError
    assert list(final.parent.iterdir()) == []
    for text in ("one", "two"):
        with files.filling(final) as part:
            (part / "file").write_text(text)
    assert (final / "file").read_text() == "two"
    assert [p.name for p in final.parent.iterdir()] == ["id"]


def test_a_file_that_is_not_what_was_recorded_is_made_anew_and_kept_aside(tmp_path):
    path, made = tmp_path / "id" / "probe", []

    def make(out: Path) -> None:
        made.append(out)
        out.write_text("right")

    for _ in range(2):
        assert files.kept(path, make).read_text() == "right"
    assert len(made) == 1
    for damage in (lambda: path.write_text("wrong"), path.unlink, (path.parent / "sha256").unlink):
        damage()
        assert files.kept(path, make).read_text() == "right"
    assert len(made) == 4
    assert (tmp_path / "damaged-id-1" / "probe").read_text() == "wrong"
    assert {each.name for each in tmp_path.iterdir()} == {
        *("id", "damaged-id-1", "damaged-id-2", "damaged-id-3")
    }


def test_sweep_removes_what_a_killed_process_left(tmp_path):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom harness import files\n"
        "with files.filling(Path(sys.argv[1])) as part:\n"
        "    (part / 'half').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "final"], check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    files.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_atomic_write_leaves_no_half_file(tmp_path: Path) -> None:
    target = tmp_path / "f"
    write_atomic(target, "one")
    with pytest.raises(TypeError):
        write_atomic(target, 3)  # type: ignore[arg-type]
    assert target.read_text() == "one" and [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    file, forms = tmp_path / "file", [bytes([n]) * 50_000 for n in range(8)]

    def write(form: bytes) -> None:
        for _ in range(20):
            write_atomic(file, form)
            assert file.read_bytes() in forms

    with ThreadPoolExecutor(len(forms)) as pool:
        list(pool.map(write, forms))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match="No space left"):
        write_atomic(tmp_path / "f", "x" * 100)


def test_compressed_evidence_is_read_like_plain(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "console.log.gz").write_bytes(gzip.compress(b"raw\xff"))
    assert read_bytes(tmp_path / "console.log") == b"raw\xff"
    assert read_bytes(tmp_path / "none") == b""


SCRATCH = """
from harness.files import scratch
with scratch() as folder:
    print(folder, flush=True)
    input()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGQUIT, signal.SIGTERM])
def test_what_a_killed_process_left_is_swept_by_the_next_start(tmp_path, number):
    """Each leaves a folder; TMPDIR is where such folders go."""
    there = os.environ | {"TMPDIR": str(tmp_path)}
    argv = [sys.executable, "-c", SCRATCH]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(argv, **pipes, text=True, env=there) as other:
        path = Path(other.stdout.readline().strip())
        subprocess.run(argv, env=there, input=b"\n", check=True, stdout=subprocess.DEVNULL)
        assert path.is_dir()  # it lives
        other.send_signal(number)
    subprocess.run(argv, env=there, input=b"\n", check=True, stdout=subprocess.DEVNULL)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_never_got_its_lock_is_swept_when_it_is_old(tmp_path):
    young, old = tmp_path / "pageinit-new-a", tmp_path / "pageinit-new-b"
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    files.WorkDir("tmp", tmp_path).remove()
    assert list(tmp_path.iterdir()) == [young]


def test_only_plain_files_with_one_name_are_read(tmp_path):
    (tmp_path / "plain").write_bytes(b"x" * 9)
    assert files.read_plain(tmp_path / "plain", 9) == b"x" * 9
    # No host has room for all that it might have been.
    assert files.read_plain(tmp_path / "plain", 1 << 60) == b"x" * 9
    with pytest.raises(OSError, match="has more than"):
        files.read_plain(tmp_path / "plain", 8)
    (tmp_path / "link").symlink_to("plain")
    os.mkfifo(tmp_path / "fifo")
    os.link(tmp_path / "plain", tmp_path / "hard")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("link", "fifo", "hard", "plain", "loop", ""):
        with pytest.raises(OSError, match=r"link|plain|folder"):
            files.read_plain(tmp_path / name)
    for name in ("link", "fifo", "hard"):
        with pytest.raises(ResultsError, match=r"link|plain"):
            append_line(tmp_path / name, "x")
    append_line(tmp_path / "link", "x", linked=True)
    assert (tmp_path / "plain").read_bytes().endswith(b"x\n")
