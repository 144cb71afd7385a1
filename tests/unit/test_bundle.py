# SPDX-License-Identifier: GPL-2.0-only
"""The results of a block on their way from a host."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RemoteError
from harness.hosts import bundle, porter
from harness.units import MIB


def listed(contents):
    """As a host lists them."""
    return [
        (f"runs/{number}", len(data), hashlib.sha256(data).hexdigest())
        for number, data in enumerate(contents)
    ]


@given(st.lists(st.binary(max_size=3000), max_size=6), st.integers(0, 9))
def test_what_was_bundled_comes_out_again(tmp_path_factory, contents, level):
    folder = tmp_path_factory.mktemp("bundle")
    packed = zlib.compress(b"".join(contents), level)
    (folder / "packed").write_bytes(packed)
    assert len(packed) <= bundle.most(listed(contents))
    bundle.unpack(folder / "packed", listed(contents), folder / "into")
    for number, data in enumerate(contents):
        path = folder / f"into/runs/{number}"
        assert path.read_bytes() == data and path.stat().st_mode & 0o77 == 0


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (zlib.compress(bytes(64 * MIB) + b"x"), "changed on the way"),
        (zlib.compress(b"one two"), "more than it says"),
        (zlib.compress(b"one") + b" ", "more than it says"),
        (zlib.compress(b"on"), "less than it says"),
        (zlib.compress(b"one")[:-1], "less than it says"),
        (zlib.compress(b"eno"), "changed on the way"),
        (b"one", "damaged"),
        (b"", "less than it says"),
    ],
)
def test_nothing_but_what_was_listed_is_unpacked(tmp_path, packed, why):
    (tmp_path / "packed").write_bytes(packed)
    with pytest.raises(RemoteError, match=why):
        bundle.unpack(tmp_path / "packed", listed([b"one"]), tmp_path / "into")
    assert sum(p.stat().st_size for p in (tmp_path / "into").rglob("*") if p.is_file()) <= 3


def test_a_file_that_is_listed_twice_is_refused(tmp_path):
    (tmp_path / "packed").write_bytes(zlib.compress(b"oneone"))
    with pytest.raises(RemoteError, match="twice"):
        bundle.unpack(tmp_path / "packed", 2 * listed([b"one"]), tmp_path / "into")


def test_a_host_bundles_the_files_of_its_runs_and_no_link(tmp_path, monkeypatch):
    monkeypatch.setattr(porter, "BLOCKS", tmp_path)
    run = tmp_path / "b/results/runs/one/m/time/000"
    run.mkdir(parents=True)
    (run / "run.json").write_bytes(b"{}")
    (run / "console.log").write_bytes(b"x" * 3 * MIB)
    (run / "link").symlink_to("/etc/passwd")
    files = porter.bundle("b")
    assert [name.rpartition("/")[2] for name, _, _ in files] == ["console.log", "run.json"]
    bundle.unpack(tmp_path / "b" / porter.BUNDLE, files, tmp_path / "into")
    assert (tmp_path / "into" / files[0][0]).read_bytes() == b"x" * 3 * MIB
