# SPDX-License-Identifier: GPL-2.0-only
"""Tasks of hosts that boot a block, and then bring back something else."""

import io
import os
import re
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


def complain(found):
    raise OSError("\x1b[2J" + "x" * 100_000)


def swap(found):
    """The runs of one variant as those of the other."""
    with tarfile.open(fileobj=io.BytesIO(found)) as tar:
        files = [(m.name, tar.extractfile(m).read()) for m in tar if m.isfile()]
    names = {"one": "two", "two": "one"}
    return archive(*((re.sub("one|two", lambda m: names[m[0]], n), data) for n, data in files))


WAYS = {
    "swapped": swap,
    "brackets": lambda found: archive(
        GOOD, *((RUN.replace("000", n), NESTED) for n in ("000", "001"))
    ),
    "outcome": lambda found: archive(("outcome.json", NESTED)),
    "bomb": lambda found: archive(GOOD, (RUN, bytes(300 << 20))),
    "many": lambda found: archive(GOOD, *[(f"results/runs/{n}", b"") for n in range(1000)]),
    "symlink": lambda found: archive(("results", b""), kind=tarfile.SYMTYPE, link="/tmp"),
    "elsewhere": lambda found: archive(GOOD, ("../../../../elsewhere", b"x")),
    "device": lambda found: archive((RUN, b""), kind=tarfile.CHRTYPE),
    "nothing": lambda found: archive(GOOD),
    "garbage": lambda found: os.urandom(1000),
    "none": lambda found: None,
    "number": lambda found: 7,
    "empty": lambda found: b"",
    "raise": complain,
}
"""By name, what comes back."""


def boot(bring, host, name, text):
    """Boots the block; brings rubbish on that host, or where none is named, at first."""
    from harness.hosts.block import boot_block

    found = boot_block(name, text)
    bad = f"/{host}/" in os.environ["HOME"] if host else name.endswith("-1")
    return bring(found) if bad else found


def task(what, host=""):
    """For a worker, which does not have this file."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    way, act = WAYS[what], boot
    return lambda name, text: act(way, host, name, text)
