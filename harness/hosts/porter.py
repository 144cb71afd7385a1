# SPDX-License-Identifier: GPL-2.0-only
"""What is done on a host for it: this file is sent there as it is, and answers questions there.

A question is a line, a list in JSON; so is its answer, behind a mark. The first answer comes
without one: the folder of all this.

    lacks SHA256...             which of these files are not there, and how much of each is
    unpack SHA256               a compressed file that has come gets its name, if it is that file
    accept BLOCK PARCEL         makes the folder of a block, with what its worker has to know
    launch BLOCK SECONDS PYTHON WHEEL    begins a block, unless it has begun, and does not wait
    state BLOCK                 what became of it
    wait BLOCK SECONDS          the same, as soon as it has ended, or so much later
    bundle BLOCK                the files it has made, all in one
    remove BLOCK                all of it

It knows the standard library alone, and no syntax younger than Python 3.7. Files lie in
~/.cache/pageinit/fleet, each under its hash, each block in a folder of its own. A block runs under
a supervisor that has left the connection.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path

MARK = "pageinit-porter "
ROOT = Path.home() / ".cache/pageinit/fleet"
FILES, BLOCKS = ROOT / "files", ROOT / "blocks"
HASH = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,200}")
CHUNK = 1 << 20
BUNDLE, PARCEL = "results.zz", "parcel.json"
LAUNCHED, SUPERVISOR, OUTCOME = "launched", "supervisor", "outcome.json"
START_S, LOOK_S = 60, 0.02
SILENT_S = 120  # NFS shows what another machine wrote within a minute (acregmax of nfs(5))
SEEN: dict[str, tuple[int | None, float]] = {}


def lacks(*names: str) -> dict[str, int]:
    """Bytes that there are of each file that is not there whole."""
    FILES.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        name: size(FILES / (name + ".zz.part"))
        for name in names
        if HASH.fullmatch(name) and not (FILES / name).is_file()
    }


def size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def unpack(name: str) -> bool:
    """Whether the file that came is the one of this hash; it is removed if not."""
    packed, part = FILES / (name + ".zz"), FILES / (name + ".part")
    if not HASH.fullmatch(name):
        return False
    digest, stream = hashlib.sha256(), zlib.decompressobj()
    try:
        with packed.open("rb") as source, part.open("wb") as target:
            for data in iter(lambda: source.read(CHUNK), b""):
                plain = stream.decompress(data)
                digest.update(plain)
                target.write(plain)
            target.flush()
            os.fsync(target.fileno())
        if digest.hexdigest() == name and stream.eof:
            part.rename(FILES / name)
    except (OSError, zlib.error):
        pass
    for path in (packed, part):
        with contextlib.suppress(OSError):
            path.unlink()
    return (FILES / name).is_file()


def block_folder(name: str) -> Path:
    if not NAME.fullmatch(name):
        raise SystemExit("not the name of a block")
    return BLOCKS / name


def launch(block: str, seconds: str, python: str, wheel: str) -> bool:
    """Has a supervisor begin a block, unless one has; it ends at once, or is an error."""
    argv = [sys.executable, "-s", "-S", "-m", "harness.hosts.supervisor"]
    argv += [block, seconds, python, wheel]
    with (block_folder(block) / "log").open("ab") as log:
        subprocess.run(
            argv,
            env=environment(wheel),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )
    return True


def environment(wheel: str) -> dict[str, str]:
    """In which the harness is found: a wheel can be imported from as it is."""
    return dict(os.environ, PYTHONPATH=str(FILES / wheel), PYTHONDONTWRITEBYTECODE="1")


def started(pid: int) -> str:
    """When a process began, in ticks since the boot: with its number, its name for ever.

    Nothing where it has ended, whether its parent has asked after it or not.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if words[0] in "ZX" else words[19]
    except (OSError, IndexError):
        return ""


def outcome(folder: Path) -> dict[str, object] | None:
    """How a block ended, nothing while it runs."""
    for _ in range(2):  # it may end between the two looks
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads((folder / OUTCOME).read_text()))
        if alive(folder):
            return None
    gone = "lost" if (folder / LAUNCHED).is_file() else "not-begun"
    return {"cause": gone, "status": 0}


def state(block: str) -> dict[str, object]:
    """The outcome of a block, and the last of what its worker said."""
    folder = block_folder(block)
    found, said = outcome(folder), ""
    with contextlib.suppress(OSError), (folder / "log").open("rb") as log:
        log.seek(max(0, size(folder / "log") - 2000))
        said = log.read().decode("utf-8", "replace")
    return {"outcome": found, "said": said}


def wait(block: str, seconds: str) -> dict[str, object]:
    """The state of a block that has ended, or of one that still runs after so long."""
    end, folder = time.monotonic() + float(seconds), block_folder(block)
    while not outcome(folder) and time.monotonic() < end:
        rest(folder, end - time.monotonic())
    return state(block)


def rest(folder: Path, seconds: float) -> None:
    """Sleeps so long, until the supervisor of a block ends; a moment, where that cannot be seen.

    Who looked again and again would take from the boots that are measured meanwhile.
    """
    try:
        ours, pid, _ = supervisor(folder)
        ending = os.pidfd_open(pid if ours else -1)  # since Python 3.9 and Linux 5.3
    except (OSError, ValueError, AttributeError):
        time.sleep(min(max(seconds, 0), LOOK_S))
        return
    poll = select.poll()
    poll.register(ending, select.POLLIN)
    poll.poll(max(seconds, 0) * 1000)
    os.close(ending)


def alive(folder: Path) -> bool:
    """Whether the supervisor of a block is still at work, or about to begin."""
    try:
        ours, pid, began = supervisor(folder)
    except (OSError, ValueError):
        return beats(folder / LAUNCHED, START_S)
    return began == started(pid) if ours else beats(folder / SUPERVISOR, SILENT_S)


def supervisor(folder: Path) -> tuple[bool, int, str]:
    """Whether the supervisor of a block is one that we can see, its number, and when it began."""
    where, pid, began = (folder / SUPERVISOR).read_text().split()
    return where == here(), int(pid), began


def here() -> str:
    """As far as the number of a process reaches: others may share our home folder."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return boot + "-" + os.readlink("/proc/self/ns/pid")  # noqa: PTH115 Path's is of Python 3.9


def beats(path: Path, seconds: float) -> bool:
    """Whether a file was touched within so long, as far as we have seen it, by our clock alone."""
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return False
    known, since = SEEN.get(str(path), (None, 0.0))
    if known != stamp:
        since = time.monotonic()
        SEEN[str(path)] = stamp, since
    return time.monotonic() - since < seconds


def bundle(block: str) -> list[tuple[str, int, str]]:
    """Path, size and hash of every file of the runs of a block, which one file then holds.

    They stand in it as they stand here, one after the other, compressed.
    """
    folder, found = block_folder(block), []
    paths = [p for p in folder.glob("results/runs/*/*/*/*/*") if p.is_file() and not p.is_symlink()]
    stream = zlib.compressobj(1)
    with (folder / BUNDLE).open("wb") as target:
        for path in sorted(paths):
            digest = hashlib.sha256()
            with path.open("rb") as source:
                for data in iter(lambda: source.read(CHUNK), b""):
                    digest.update(data)
                    target.write(stream.compress(data))
            name = str(path.relative_to(folder / "results"))
            found.append((name, size(path), digest.hexdigest()))
        target.write(stream.flush())
    return found


def remove(block: str) -> bool:
    folder = block_folder(block)
    shutil.rmtree(str(folder), ignore_errors=True)
    return not folder.exists()


def accept(block: str, parcel: str) -> bool:
    """Makes the folder of a block with the parcel in it, whole before it has its name."""
    folder = block_folder(block)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / (PARCEL + ".part")
    part.write_bytes(parcel.encode())
    part.rename(folder / PARCEL)
    return True


def answer() -> None:
    """Answers questions until there are no more."""
    say(str(ROOT))
    for line in sys.stdin.buffer:
        word, *words = json.loads(line)
        try:
            say(ACTIONS[word](*words))
        except (Exception, SystemExit) as error:
            say({"error": f"{type(error).__name__}: {error}"})


def say(value: object) -> None:
    print(MARK + json.dumps(value), flush=True)


ACTIONS = {f.__name__: f for f in (lacks, unpack, accept, launch, state, wait, bundle, remove)}

if __name__ == "__main__":
    os.umask(0o077)
    if sys.argv[1] == "answer":
        answer()
    else:
        ACTIONS[sys.argv[1]](*sys.argv[2:])
