# SPDX-License-Identifier: GPL-2.0-only
"""The runs of a block on their way from a host, which may send anything."""

import contextlib
import gzip
import io
import os
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError, RemoteError
from harness.hosts import archive
from harness.units import MIB

NAMES = st.from_regex(r"[a-z]{1,8}(/[a-z.]{1,8}[a-z])?", fullmatch=True)


def tar(*members, **keys):
    """Members: a name, what is in it, and what else its header says."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", **keys) as file:
        for name, content, *more in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in dict(*more).items():
                setattr(member, key, value)
            file.addfile(member, io.BytesIO(content))
    return data.getvalue()


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=6))
def test_what_was_packed_comes_out_again(tmp_path_factory, contents):
    there, here = tmp_path_factory.mktemp("there"), tmp_path_factory.mktemp("here") / "into"
    for number, data in enumerate(contents):
        path = there / f"results/runs/{number}/console.log"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        path.chmod(0o666)
    archive.unpack(archive.pack(there, ("results/runs", "log")), here, 1)
    found = sorted(path for path in here.rglob("*") if path.is_file())
    assert [path.read_bytes() for path in found] == contents
    assert all(path.stat().st_mode & 0o77 == 0 for path in (here, *found))


def test_a_host_packs_plain_files_alone(tmp_path):
    run = tmp_path / "runs/one"
    run.mkdir(parents=True)
    (run / "run.json").write_bytes(b"{}")
    (run / "link").symlink_to("/etc/passwd")
    os.mkfifo(run / "fifo")
    archive.unpack(archive.pack(tmp_path, ("runs",)), tmp_path / "into", 1)
    assert [path.name for path in (tmp_path / "into/runs/one").iterdir()] == ["run.json"]


def test_more_than_may_be_is_not_sent(tmp_path):
    (tmp_path / "log").write_bytes(os.urandom(MIB))
    with pytest.raises(ValueError, match="packed"):
        archive.pack(tmp_path, ("log",), most=MIB // 2)


LONG = {"pax_headers": {"comment": "x" * 2 * MIB}}
KINDS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        *((tar(("a", b"", {"type": k, "linkname": "b"})), "plain file") for k in KINDS),
        (tar(("../elsewhere", b"x")), "damaged"),
        (tar(("a/../../../elsewhere", b"x")), "damaged"),
        (tar(("a", b""), ("a/b", b"x")), "damaged"),
        (tar(("x" * 300, b"x")), "damaged"),
        (tar(("a/" * 1500 + "a", b"x")), "plain file"),
        (tar(("a", b"x", LONG), format=tarfile.PAX_FORMAT), "header is too long"),
        (tar(("x" * 2 * MIB, b"x"), format=tarfile.GNU_FORMAT), "header is too long"),
        (tar(*((str(n), b"") for n in range(65))), "too many"),
        (tar(("a", bytes(6000)), ("b", bytes(6000))), "too large"),
        (gzip.compress(b"x" * 1024), "damaged"),
        (tar(("a", bytes(5000)))[:-30], "damaged"),
        (tar(("a", os.urandom(5000)))[:3000], "damaged"),
        (b"no archive", "damaged"),
        (b"", "damaged"),
        (None, "no archive"),
        ({"a": 1}, "no archive"),
    ],
    ids=lambda value: value if isinstance(value, str) else "data",
)
def test_what_is_no_archive_of_results_is_refused(tmp_path, data, why):
    with pytest.raises(RemoteError, match=why) as error:
        archive.unpack(data, tmp_path / "a/b/into", 1, most=10_000)
    assert len(error.value.what) < 250
    assert not list(tmp_path.rglob("elsewhere"))
    inside = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert all(p.is_relative_to(tmp_path / "a/b/into") for p in inside)
    assert sum(p.stat().st_size for p in inside) <= 10_000


def test_an_absolute_name_stays_below(tmp_path):
    archive.unpack(tar(("/elsewhere", b"x")), tmp_path / "into", 1)
    assert (tmp_path / "into/elsewhere").read_bytes() == b"x"


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES | st.text(max_size=9), st.binary(max_size=20)), max_size=4))
def test_no_name_leaves_the_folder(tmp_path_factory, members):
    folder = tmp_path_factory.mktemp("here")
    good = [(name, data) for name, data in members if "\0" not in name and name.isprintable()]
    with contextlib.suppress(HarnessError):
        archive.unpack(tar(*good), folder / "a/into", 1)
    assert {path.name for path in folder.iterdir()} <= {"a"}
    assert {path.name for path in (folder / "a").glob("*")} <= {"into"}
