# SPDX-License-Identifier: GPL-2.0-only
from harness.kernel.build import Effort, cache_hits

LOG = """\
# init/main.c
cache_miss
direct_cache_miss
local_storage_write
preprocessed_cache_miss
# mm/mm_init.c
direct_cache_hit
local_storage_hit
# mm/page_alloc.c
direct_cache_miss
preprocessed_cache_hit
# mm/memblock.c
recache
"""
"""As ccache 4.7 writes it."""


def test_hits_are_counted_once_per_object(tmp_path):
    (tmp_path / "log").write_text(LOG)
    assert cache_hits(tmp_path / "log") == 2
    assert cache_hits(tmp_path / "none") == 0


def test_a_kernel_without_a_record_has_no_effort(tmp_path):
    effort = Effort(seconds=9.5, objects=3, reused=0, jobs=2, fresh=False)
    assert Effort.read(tmp_path) is None
    effort.write(tmp_path)
    assert Effort.read(tmp_path) == effort
    (tmp_path / "build.json").write_text("{")
    assert Effort.read(tmp_path) is None
