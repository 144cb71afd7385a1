# SPDX-License-Identifier: GPL-2.0-only
"""Where things are."""

from pathlib import Path

import pytest

from harness import project


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PAGEINIT_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/pageinit"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/pageinit"),
    ],
)
def test_cache_folder(environ, expected):
    assert project.cache_folder(environ) == Path(expected)
