# SPDX-License-Identifier: GPL-2.0-only
"""build.json: what a build took. Beside the kernel, not in it: another build takes another time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from harness.model import Model

EFFORT_FILE = "build.json"

_HIT = re.compile(r"^(?:direct|preprocessed)_cache_hit$", re.M)


class Effort(Model):
    """A build from the switch of the work tree to the image.

    Of the compiled `objects` ccache had `reused`; `fresh` tells that the build folder was new.
    """

    seconds: float
    objects: int
    reused: int
    jobs: int
    fresh: bool

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The effort of the kernel in `folder`; none where nothing was recorded."""
        try:
            return cls.model_validate_json((folder / EFFORT_FILE).read_bytes())
        except (OSError, ValueError):
            return None

    def write(self, folder: Path) -> None:
        (folder / EFFORT_FILE).write_text(self.model_dump_json(indent=1) + "\n")


def cache_hits(log: Path) -> int:
    """How many objects came from ccache, by its CCACHE_STATSLOG; 0 where it wrote none."""
    return len(_HIT.findall(log.read_text(errors="replace"))) if log.is_file() else 0
