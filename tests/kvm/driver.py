# SPDX-License-Identifier: GPL-2.0-only
"""What is done where KVM is, on this host or in a guest of it; the tests look at what it leaves.

usage: python -m tests.kvm.driver FOLDER      the folder has a checkout
"""

import importlib
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

from harness import host, host_memory
from harness.boot import accel
from harness.cli import main
from harness.guest import initramfs
from harness.project import cache_folder
from tests.support.real import qemus, until

TOO_LARGE = """\
description: a machine whose memory the host's CPU cannot address
accel: kvm
nodes: [{{cpus: 0, memory: {size}}}]
"""
MOST_BITS = 46
"""What a machine may have: a host with as many addresses them all."""

# To import takes long where each instruction is translated: it is done once, before all forks.
FORK = multiprocessing.get_context("fork")
IMPORTED = ("harness.cli.run", "harness.cli.boot", "harness.cli.collate", "harness.cli.compare")
IMPORTED += ("pandas", "scipy.stats", "altair", "vl_convert", "harness.report.render")
PAIR = ("run", "experiments/pair.yaml")


def begin(name, *words):
    """``harness`` in a process of its own, whose words go to the file NAME.out, errors likewise."""

    def child():
        for stream, end in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"../{name}.{end}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        sys.exit(main([*words]))

    process = FORK.Process(target=child)
    process.start()
    return process


def harness(name, *words, tries=1):
    """The exit status; an emulated CPU loses a guest now and then (docs/kvm.md), and gets more."""
    for _ in range(tries):
        process = begin(name, *words)
        process.join()
        print(f"{name}: {process.exitcode}", flush=True)
        if process.exitcode == 0:
            break
    return process.exitcode


def probe():
    """What KVM is like here, by a boot."""
    cache = cache_folder(os.environ)
    found = accel.probe(Path("kernel/bzImage").resolve(), initramfs.build(cache).path, cache)
    print(found, flush=True)
    return vars(found) | {
        "tsc_khz": host.kvm_tsc_khz(),
        "clocksource": host.clocksource(),
        "address_bits": host.address_bits(),
        "host_cpu": host.cpu_model(),
    }


def interrupted():
    """In the second of four boots QEMU is killed, in the third the harness; the next goes on."""
    first = begin("first", *PAIR)
    for number, victim in ((1, qemus), (2, lambda pid: [pid])):
        until(lambda number=number: len(runs("*/run.json")) == number, 300)
        until(lambda: any(b"Linux version" in p.read_bytes() for p in runs("*.part/console.log")))
        (pid,) = victim(first.pid)
        os.kill(pid, signal.SIGKILL)
    first.join()
    kept = {str(path): path.read_text() for path in runs("*/run.json")}
    return {"kept": kept, "again": harness("again", *PAIR, "--retry", tries=3)}


def runs(pattern):
    return list(Path("results/pair").glob(f"*/runs/*/*/*/{pattern}"))


def run(folder):
    os.chdir(folder / "checkout")
    # To touch all that a boot could meet takes longer than the boots.
    host_memory.is_taken_back = lambda: False
    for name in IMPORTED:
        importlib.import_module(name)
    said = {"probe": probe()}
    if said["probe"]["kvm"]:
        said |= interrupted()
        said["bad"] = harness("bad", "run", "experiments/bad.yaml")
        said["compare"] = harness("compare", "compare", "results/pair", "--json")
        said["collate"] = harness("collate", "collate", "results/pair")
        said["as-host"] = harness("as-host", "boot", "deferred", "as-host", "--json", tries=2)
        if (bits := said["probe"]["address_bits"]) < MOST_BITS:
            machine = TOO_LARGE.format(size=1 << bits)
            Path("qemu-configs/too-large.yaml").write_text(machine)
            words = ("boot", "deferred", "too-large", "--json")
            said["too-large"] = harness("too-large", *words)
            said["forced"] = harness("forced", *words, "--force")
    (folder / "said.json").write_text(json.dumps(said, indent=1))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
