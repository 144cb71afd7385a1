# SPDX-License-Identifier: GPL-2.0-only
"""``python -m bench``: all parts or some, as a table and as JSON. Exit status 0 when it ran."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import (
    boot,
    build,
    collate,
    compare,
    fakes,
    fetch,
    fleet,
    hosts,
    pages,
    parser,
    report,
    start,
    stores,
)
from bench.figure import HEAD, Figure
from bench.setting import Setting
from harness import __version__, host
from harness.cli.terminal import print_table, show_log
from harness.errors import HarnessError
from harness.project import Project, cache_folder
from harness.report.document import Table

log = logging.getLogger("bench")

PARTS: dict[str, Callable[[Setting], Iterator[Figure]]] = {
    "start": start.measure,
    "parser": parser.measure,
    "collate": collate.measure,
    "compare": compare.measure,
    "report": report.measure,
    "fleet": fleet.measure,
    "fakes": fakes.measure,
    "fetch": fetch.measure,
    "hosts": hosts.measure,
    "boot": boot.measure,
    "build": build.measure,
    "stores": stores.measure,
    "pages": pages.measure,
}


def arguments() -> argparse.Namespace:
    top = argparse.ArgumentParser(prog="bench", description=__doc__)
    names = ", ".join(PARTS)
    top.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help=f"of {names}")
    top.add_argument("--full", action="store_true", help="more turns, a kernel built from nothing")
    top.add_argument("--json", metavar="FILE", type=Path, help="write figures and samples here")
    top.add_argument(
        "--sample", metavar="DIR", type=Path, help="real runs to multiply (results/reference/*)"
    )
    found = top.parse_args()
    if unknown := set(found.only.split(",")) - set(PARTS):
        top.error(f"--only: no part called {', '.join(sorted(unknown))}; there are {names}")
    return found


def main() -> int:
    """Measures what was asked for; a part that cannot run here says why in its row."""
    asked = arguments()
    show_log("bench")
    project = Project.find(Path.cwd(), cache_folder(os.environ))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="pageinit-bench-") as scratch:
        sample = asked.sample or collate.reference(project.root)
        setting = Setting(project, Path(scratch), asked.full, sample)
        for name in asked.only.split(","):
            try:
                for figure in PARTS[name](setting):
                    figures.append(figure)
                    log.info(": ".join(filter(None, figure.as_row()[:3])))
            except HarnessError as error:
                figures.append(Figure(name, "", note=error.what))
    print_table(Table(HEAD, [figure.as_row() for figure in figures]))
    if asked.json:
        document = {**facts(), "figures": [figure.as_json() for figure in figures]}
        asked.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def facts() -> dict[str, Any]:
    """What the figures depend on."""
    try:
        version = ".".join(map(str, host.find_qemu().version))
    except HarnessError:
        version = None
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "harness_version": __version__,
        "host_cpu": host.cpu_model(),
        "host_cpus": os.cpu_count(),
        "host_kernel": platform.release(),
        "python": platform.python_version(),
        "qemu_version": version,
        "load_1min": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
