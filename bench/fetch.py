# SPDX-License-Identifier: GPL-2.0-only
"""How long the results of many runs take from a host, over SSH on loopback, to the dataset.

A host has them made already: its tasks bring them, and nothing is booted.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bench.collate import multiply
from bench.figure import Figure
from bench.setting import Setting
from harness.hosts import archive
from harness.hosts.inventory import Inventory
from harness.model.lockfile import LOCK_FILE
from harness.results.folder import Results
from harness.ssh import KnownHosts
from tests.support.sshd import BINARY, Lab

log = logging.getLogger(__name__)

RUNS = 1_000
AIM_S = 60.0
HOST = "loopback"


def measure(setting: Setting) -> Iterator[Figure]:
    """Fetched block by block, then collated."""
    if setting.sample is None or not BINARY or not find_spec("distributed"):
        lacking = "no real runs here, no sshd or no Dask; name runs with --sample"
        yield Figure("fetch", "s", below=AIM_S, note=lacking)
        return
    log.info(f"fetch: making {RUNS} runs")
    sample = Results(shutil.copytree(setting.sample, setting.scratch / "fetched"))
    _plain(sample.path)
    size = multiply(sample, setting.scratch / "made", RUNS)
    into = setting.scratch / "taken"
    lab = Lab(setting.scratch)
    try:
        lab.serve(HOST, python=sys.executable)
        blocks = _lay_out(setting.scratch / "made/runs", lab.servers[HOST].home / "made")
        start = time.perf_counter()
        asyncio.run(_fetch(lab, blocks, into))
        took = time.perf_counter() - start
    finally:
        lab.stop()
    shutil.copyfile(sample.path / LOCK_FILE, into / LOCK_FILE)
    start = time.perf_counter()
    argv = [sys.executable, "-m", "harness", "collate", str(into), "--json"]
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    collated = time.perf_counter() - start
    assert len(Results(into).files()) == RUNS
    note = f"{RUNS} runs in {len(blocks)} blocks, {size >> 20} MiB of evidence"
    yield Figure("fetch: over SSH", "s", (took,), note=note)
    yield Figure("fetch: and collated", "s", (took + collated,), below=AIM_S, note=note)


def _plain(folder: Path) -> None:
    """Evidence as it lies on a host: it is compressed when a dataset is committed."""
    for path in folder.rglob("runs/**/*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


def _lay_out(runs: Path, home: Path) -> dict[Path, int]:
    """Moves runs to where a host has those of its blocks; answers these, and the boots of each."""
    blocks: Counter[Path] = Counter()
    for path in sorted(runs.glob("*/*/*/*")):
        variant, machine, clock, block = path.parts[-4:]
        folder = home / f"{machine}-{clock}-{block}"
        place = folder / "runs" / variant / machine / clock / block
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
        blocks[folder] += 1
    return blocks


async def _fetch(lab: Lab, blocks: dict[Path, int], into: Path) -> None:
    """As many at once as there would be hosts for: one."""
    from harness.hosts.cluster import SSHHosts

    source = SSHHosts(Inventory.load(lab.file), KnownHosts([lab.known]))
    async with source.connect([HOST], lambda name, why: None) as client:
        for folder, boots in blocks.items():
            packed = await client.submit(archive.pack, folder, ("runs",), pure=False)
            await asyncio.to_thread(_take_in, packed, into, boots)


def _take_in(packed: bytes, into: Path, boots: int) -> None:
    came = into.with_name("came")
    archive.unpack(packed, came, boots)
    for path in came.glob("runs/*/*/*/*"):
        final = into / path.relative_to(came)
        final.parent.mkdir(parents=True, exist_ok=True)
        path.rename(final)
    shutil.rmtree(came)
