# SPDX-License-Identifier: GPL-2.0-only
"""How long the results of many runs take from a host, over SSH on loopback, to the dataset."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench.collate import multiply
from bench.figure import Figure
from bench.setting import Setting
from harness.hosts.courier import Courier
from harness.hosts.inventory import Inventory
from harness.model.lockfile import LOCK_FILE
from harness.model.schedule import Slot
from harness.results.folder import Results
from harness.ssh.connection import Connection
from harness.ssh.hostkeys import Trust
from tests.support.sshd import BINARY, Lab

RUNS = 1_000
AIM_S = 60.0
HOST = "loopback"


def measure(setting: Setting) -> Iterator[Figure]:
    """Fetched block by block, each over a connection of its own, then collated."""
    if setting.sample is None or not BINARY:
        lacking = "no real runs here; name some with --sample" if BINARY else "no sshd here"
        yield Figure("fetch", "s", below=AIM_S, note=lacking)
        return
    setting.log(f"fetch: making {RUNS} runs")
    sample = Results(shutil.copytree(setting.sample, setting.scratch / "fetched"))
    _plain(sample.path)
    size = multiply(sample, setting.scratch / "made", RUNS)
    into = setting.scratch / "taken"
    lab = Lab(setting.scratch)
    try:
        lab.serve(HOST, python=sys.executable)
        blocks = _lay_out(setting.scratch / "made/runs", lab.servers[HOST].home)
        start = time.perf_counter()
        _fetch(lab, blocks, into)
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


def _lay_out(runs: Path, home: Path) -> dict[str, list[Slot]]:
    """Moves runs to where a host has those of its blocks; answers what each block booted."""
    blocks: dict[str, list[Slot]] = defaultdict(list)
    for path in sorted(runs.glob("*/*/*/*")):
        variant, machine, clock, block = path.parts[-4:]
        slot = Slot(variant, machine, "work" if clock == "work" else "time", int(block), 0)
        name = f"{machine}-{clock}-{block}"
        blocks[name].append(slot)
        place = home / ".cache/pageinit/fleet/blocks" / name / "results/runs" / slot.key
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    return blocks


def _fetch(lab: Lab, blocks: dict[str, list[Slot]], into: Path) -> None:
    inventory = Inventory.load(lab.file)
    for name, slots in blocks.items():
        with (
            Connection(inventory, HOST, Trust([lab.known])) as connection,
            Courier.at(connection, inventory.hosts[HOST], into / "cache") as courier,
        ):
            courier.fetch(name, slots, into)
            courier.remove(name)
