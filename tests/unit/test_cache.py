# SPDX-License-Identifier: GPL-2.0-only
"""Whose a cache folder is."""

from pathlib import Path

from harness import cache

EARLIER = (
    *("work/6.12/linux/Makefile", "work/6.12/index", "work/6.12/.lock", "door.lock", "room.lock"),
    *("kernels/0123456789abcdef/bzImage", "kernels/0123456789abcdef/gate.json"),
    *("kernels/failed-0123456789abcdef.log", "kernels/.part-x/bzImage", "ccache/0/1/aR"),
    *("ccache/tmp/x", "ccache/ccache.conf", "sources/linux-source-6.12_1/repo.git/HEAD"),
    *("sources/linux-source-6.12_1/source.json", "sources/linux-source-6.12_1/applied/0.json"),
    *("sources/linux-source-6.12_1/0a.index", "sources/.lock", "initramfs/0a-probe/probe"),
    *("initramfs/0a-entry.cpio/entry.cpio", "prebuilt/linux-image-6/vmlinuz", "images/0a.json"),
    *("plugin/0a/stores.so", "charts/vega-1.9.0.post1-6.4.js", "accelerator/0a.json"),
    *("accelerator/.0a.json.77.tmp", "hosts/code-0/harness/x.py", "sources/range-0/repo.git/HEAD"),
)
"""What versions without a tag left in their caches."""


def lay(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def test_a_cache_of_an_earlier_version_is_known_by_what_it_holds(tmp_path):
    folder = lay(tmp_path / "cache", *EARLIER)
    assert cache.claim(folder) and (folder / cache.TAG).is_file()
    lay(folder, "whatever")
    assert cache.claim(folder)


def test_one_file_that_no_cache_has_is_enough_to_keep_out(tmp_path):
    for number, name in enumerate(("letter", "work/letter", "work/6.12/letter", "charts/me.svg")):
        folder = lay(tmp_path / str(number), *EARLIER, name)
        assert not cache.claim(folder) and not (folder / cache.TAG).exists()


def test_a_new_and_an_empty_folder_are_tagged(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new/deep"):
        assert cache.claim(tmp_path / name)
        assert (tmp_path / name / cache.TAG).read_text().startswith("Signature: 8a477f597d28d172")
