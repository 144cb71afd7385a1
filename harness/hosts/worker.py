# SPDX-License-Identifier: GPL-2.0-only
"""Boots a block on a host, for somebody elsewhere: ``python -m harness.worker BLOCK FILES``.

`BLOCK` is a folder with a parcel; the results go into it. The exit status is 0 when every boot has
left a record, whatever its outcome.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from harness.hosts.parcel import FILE, Parcel, unpack
from harness.results import Results
from harness.run import Local, loop


def work(folder: Path, files: Path) -> None:
    """Boots what the parcel in `folder` says; what is there already is not booted again."""
    parcel = Parcel.model_validate_json((folder / FILE).read_bytes())
    session = unpack(parcel, folder, lambda sha256: files / sha256)
    results = Results(folder / "results")
    options = loop.RunOptions(folder, force=parcel.force)
    with results.locked():
        executor = Local(parcel.cores, parcel.memory)
        loop.execute(session, results, options, parcel.slots, executor=executor)


if __name__ == "__main__":
    gc.freeze()  # what is there now stays to the end, when to visit it all would take 20 ms
    work(Path(sys.argv[1]), Path(sys.argv[2]))
