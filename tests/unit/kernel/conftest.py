# SPDX-License-Identifier: GPL-2.0-only
"""A source that has been fetched."""

import pytest

from harness.kernel import source
from tests.support.sources import MAKEFILE, MM, base, tarball


@pytest.fixture
def fetched(tmp_path):
    path = tmp_path / "linux.tar.xz"
    sha256 = tarball(path, {"Makefile": MAKEFILE, "mm/page.c": MM, ".gitignore": "*\n"})
    return source.fetch(base(path, sha256), tmp_path / "cache")
