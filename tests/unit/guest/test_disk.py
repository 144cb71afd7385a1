# SPDX-License-Identifier: GPL-2.0-only
"""Images of disks for guests, and what they may not do."""

import pytest

from harness.errors import UserError
from harness.guest import disk as image

QCOW2 = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(504)


def put(header: bytes, at: int, value: int) -> bytes:
    return header[:at] + value.to_bytes(8, "big") + header[at + 8 :]


@pytest.mark.parametrize(("data", "kind"), [(QCOW2, "qcow2"), (bytes(512), "raw"), (b"", "raw")])
def test_the_format_is_read_from_the_bytes(tmp_path, data, kind):
    path = tmp_path / "disk.img"
    path.write_bytes(data)
    assert image.read(path, tmp_path).format == kind


@pytest.mark.parametrize(
    ("data", "what"),
    [(put(QCOW2, 8, 512), "a backing file"), (put(QCOW2, 72, 4), "a data file")],
)
def test_an_image_that_would_open_other_files_is_refused(tmp_path, data, what):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(data)
    with pytest.raises(UserError, match=what):
        image.read(path, tmp_path)


def test_feature_bits_of_an_old_qcow2_are_none(tmp_path):
    path = tmp_path / "disk.qcow2"
    path.write_bytes(put(QCOW2.replace(b"\x03", b"\x02"), 72, 4))
    assert image.read(path, tmp_path).format == "qcow2"


@pytest.mark.parametrize("name", ["nothing-here.qcow2", "."])
def test_a_path_that_is_no_file_says_how_to_make_one(tmp_path, name):
    with pytest.raises(UserError, match=r"guest\.image: (.|\n)*tools/guest-image"):
        image.read(tmp_path / name, tmp_path)


def test_the_hash_is_computed_once_for_the_same_file(tmp_path, monkeypatch):
    path = tmp_path / "disk.img"
    path.write_bytes(b"one")
    first = image.read(path, tmp_path)
    (memory,) = (tmp_path / "images").iterdir()
    memory.write_text(memory.read_text().replace(first.sha256, "known"))
    assert image.read(path, tmp_path).sha256 == "known"
    path.write_bytes(b"other")
    assert image.changed(first)
    assert image.read(path, tmp_path).sha256 not in (first.sha256, "known")


def test_a_damaged_memory_of_hashes_is_no_error(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(b"one")
    first = image.read(path, tmp_path)
    (memory,) = (tmp_path / "images").iterdir()
    memory.write_text("[]")
    assert image.read(path, tmp_path) == first
