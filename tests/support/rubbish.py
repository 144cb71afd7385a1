# SPDX-License-Identifier: GPL-2.0-only
"""Tasks of hosts that boot a block, and then bring back something else."""

import io
import os
import sys
import tarfile

import cloudpickle


def archive(*files, kind=tarfile.REGTYPE, link=""):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, len(content)
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


RUN = "results/runs/one/small/time/000/run.json"
NESTED = b"[" * 100_000
GOOD = ("outcome.json", b'{"cause": "ended", "status": 0}')


def complain():
    raise OSError("\x1b[2J" + "x" * 100_000)


WAYS = {
    "brackets": lambda: archive(GOOD, *((RUN.replace("000", n), NESTED) for n in ("000", "001"))),
    "outcome": lambda: archive(("outcome.json", NESTED)),
    "bomb": lambda: archive(GOOD, (RUN, bytes(300 << 20))),
    "many": lambda: archive(GOOD, *[(f"results/runs/{n}", b"") for n in range(1000)]),
    "symlink": lambda: archive(("results", b""), kind=tarfile.SYMTYPE, link="/tmp"),
    "elsewhere": lambda: archive(GOOD, ("../../../../elsewhere", b"x")),
    "device": lambda: archive((RUN, b""), kind=tarfile.CHRTYPE),
    "nothing": lambda: archive(GOOD),
    "garbage": lambda: os.urandom(1000),
    "none": lambda: None,
    "number": lambda: 7,
    "empty": lambda: b"",
    "raise": complain,
}
"""By name, what comes back."""


def boot(bring, host, name, text):
    """Boots the block; brings rubbish on that host, or where none is named, at first."""
    from harness.hosts.block import boot_block

    found = boot_block(name, text)
    bad = f"/{host}/" in os.environ["HOME"] if host else name.endswith("-1")
    return bring() if bad else found


def task(what, host=""):
    """For a worker, which does not have this file."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    way, act = WAYS[what], boot
    return lambda name, text: act(way, host, name, text)
