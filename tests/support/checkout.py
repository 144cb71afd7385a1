# SPDX-License-Identifier: GPL-2.0-only
"""A small checkout with prebuilt kernels, its environment, and what is left in it."""

import csv
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests" / "fakes"
# The fake is run by this Python: another `python3` may take longer to start than a boot takes.
PATH = os.pathsep.join((str(FAKES), str(Path(sys.executable).parent), os.environ["PATH"]))
BASE = "kernel-patches/bases/6.12.yaml"
MACHINE = """
description: two small nodes
accel: tcg
nodes: [{cpus: 0, memory: 1GiB}, {cpus: 1, memory: 1GiB}]
deadline_s: 5
"""
EXPERIMENT = """
description: two variants, two blocks
baseline: one
matrix:
  - variants: [one, two]
    machines: [small]
    clocks: {time: {blocks: 2, warmup: 1}}
probes: {run: [meminfo], touch_bytes: 1MiB}
limits: {silence_s: 1, progress_s: 1.5, grace_s: 0.1}
"""


def heed_ctrl_c() -> None:
    """For a child: a job in the background of a shell without job control ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def bzimage(release: str) -> bytes:
    """As much of a bzImage as its header needs (Documentation/arch/x86/boot.rst)."""
    image = bytearray(0x400)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x100).to_bytes(2, "little")
    image[0x300 : 0x300 + len(release)] = release.encode()
    return bytes(image)


def lay_checkout(root: Path) -> dict[str, str]:
    """A checkout with variants `one` and `two`; answers its environment."""
    for folder in ("variants", "bases"):
        (root / "kernel-patches" / folder).mkdir(parents=True)
    for folder in ("qemu-configs", "experiments"):
        (root / folder).mkdir()
    for name in ("one", "two"):
        (root / f"{name}.img").write_bytes(bzimage(f"6.1-{name}"))
        text = f"description: kernel {name}\nprebuilt: {{path: {name}.img}}\n"
        (root / f"kernel-patches/variants/{name}.yaml").write_text(text)
    (root / "qemu-configs/small.yaml").write_text(MACHINE)
    (root / "experiments/pair.yaml").write_text(EXPERIMENT)
    base = (ROOT / BASE).read_text()
    (root / BASE).write_text(base)
    return environment(root)


def environment(root: Path) -> dict[str, str]:
    """In which a checkout has a cache beside it, and boots a QEMU that is fake."""
    return {
        "PATH": PATH,
        "FAKE_QEMU": "ok",
        "FAKE_CONSOLE": str(ROOT / "tests/golden/console/grow-1t.log"),
        "PAGEINIT_CACHE": str(root.parent / "cache"),
    }


def results(checkout: Path) -> Path:
    return next((checkout / "results" / "pair").iterdir())


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))
